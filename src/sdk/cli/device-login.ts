import { setTimeout as sleep } from 'node:timers/promises';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  DeviceCredential,
  type PollDeviceTokenResponse,
  type RequestDeviceCodeResponse,
} from '../../../gen/gatehouse/v1/device_grant_pb.ts';
import { newAttemptId } from '../attempts.ts';
import type { Clients } from '../clients.ts';
import { reasonOf, retryAfter } from '../error-details.ts';
import { CliError } from './cli-error.ts';

export interface DeviceLoginOptions {
  /** The name of the program, for the confirmation page. */
  readonly clientName: string;
  /** Displays the URL, the user code and the comparison number. */
  readonly announce: (code: RequestDeviceCodeResponse) => void | Promise<void>;
  /** Cancels the login: nobody can approve it afterwards. */
  readonly signal: AbortSignal;
}

/**
 * Signs a program in (RFC 8628): starts a login, and polls until a user has decided it in a browser. Throws a CliError
 * when it was denied, canceled, or has expired.
 */
export async function loginDevice(
  { devices }: Pick<Clients, 'devices'>,
  { clientName, announce, signal }: DeviceLoginOptions,
): Promise<PollDeviceTokenResponse> {
  const code = await devices.requestDeviceCode({ clientName, credential: DeviceCredential.SESSION });
  try {
    await announce(code);
    return await pollUntilDecided(devices, code, signal);
  } catch (error) {
    // Nobody is to approve a login that no program waits for.
    if (isOpen(error))
      await devices.cancelLogin({ pollingSecret: code.deviceCode }, { timeoutMs: 3000 }).catch(() => {});
    throw error;
  }
}

async function pollUntilDecided(
  devices: Clients['devices'],
  { deviceCode, expiresIn, interval }: RequestDeviceCodeResponse,
  signal: AbortSignal,
): Promise<PollDeviceTokenResponse> {
  // The same for all polls, so that a lost response with tokens is repeated.
  const clientNonce = newAttemptId();
  const end = performance.now() + (expiresIn ? durationMs(expiresIn) : 0);
  let pause = interval ? durationMs(interval) : 5000;
  while (!signal.aborted) {
    try {
      // Not aborted by the signal: a redeemed session must not be lost.
      return await devices.pollDeviceToken({ deviceCode, clientNonce });
    } catch (error) {
      pause = pauseAfter(error, pause);
    }
    const left = end - performance.now();
    if (left <= 0) throw expired();
    await sleep(Math.min(pause, left), undefined, { signal }).catch(() => {});
  }
  throw new CliError('canceled', 'The login was canceled.');
}

/** Milliseconds until the next poll, for a refusal after which the login goes on. */
function pauseAfter(error: unknown, pause: number): number {
  const asked = (retryAfter(error) ?? 0) * 1000;
  switch (reasonOf(error)) {
    case 'AUTHORIZATION_PENDING':
    case 'OVER_REQUEST_RATE_LIMIT':
    case 'DEADLINE_EXCEEDED':
      return Math.max(pause, asked);
    case 'SLOW_DOWN':
      return asked || pause + 5000;
    case 'ACCESS_DENIED':
      throw new CliError('denied', 'The login was denied.', { cause: error });
    case 'EXPIRED_TOKEN':
      throw expired(error);
  }
  if (error instanceof ConnectError && error.code === Code.Unavailable) return Math.max(pause, asked);
  throw error;
}

function expired(cause?: unknown): CliError {
  return new CliError('expired', 'The login was not approved in time.', { cause });
}

function isOpen(error: unknown): boolean {
  return !(error instanceof CliError) || error.outcome === 'canceled';
}
