import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import type { RedeemDashboardCodeRequest } from '../../gen/gatehouse/v1/device_grant_pb.ts';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { Refusal } from '../errors.ts';
import { autocommit, change, origin, projectOf } from '../rpc/context.ts';
import { advance, findByCode } from './attempt.ts';
import type { Attempt } from './attempt-table.ts';
import { deriveSecret, hashPollingSecret, type Possession } from './codes.ts';
import { isShortCode, readDashboardCode } from './dashboard-code.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { kinds, stateAt } from './kinds.ts';
import { keyCredential } from './minted-key.ts';
import { findByPollingSecret } from './poll.ts';
import { possessionOf, redeem } from './redemption.ts';

type Method = DeviceMethods['redeemDashboardCode'];
type Response = Awaited<ReturnType<Method>>;

/** The program's side of a dashboard code. */
export function redeemDashboardCode(deps: DeviceDeps): Method {
  return async (request, context) => {
    const { proof, clientName, clientNonce } = request;
    if (proof.case === 'pollingCode') return poll(deps, context, proof.value, request);
    const code = readDashboardCode(proof.value ?? '');
    const attempt = await findTyped(deps, context, code);
    if (!attempt || !code) throw new Refusal('CLI_CODE_INVALID');
    const possession = possessionOf(code, clientNonce);
    if (isShortCode(attempt)) return claim(deps, context, { attempt, possession, clientName });
    const at = deps.now();
    const credential = keyCredential(deps, context, { kind: 'dashboard', possession, clientName, scopes: [] });
    const redeemed = await redeem(context, { attempt, possession }, credential, at);
    if (redeemed.response) return { state: LoginState.APPROVED, ...redeemed.response };
    throw new Refusal(redeemed.state === 'redeemed' ? 'CLI_CODE_USED' : 'CLI_CODE_INVALID');
  };
}

function findTyped(
  { now, keys, unknownCodes }: DeviceDeps,
  context: HandlerContext,
  code: string | undefined,
): Promise<Attempt | undefined> {
  return unknownCodes.try(context, 'dashboard code', async () =>
    code === undefined
      ? undefined
      : findByCode(autocommit(context), keys, { projectId: projectOf(context), kind: 'dashboard', code }, now()),
  );
}

interface Claim {
  readonly attempt: Attempt;
  readonly possession: Possession;
  readonly clientName: string;
}

/**
 * Claims a short code for a device. The polling code is derived from the nonce, so that a repeated call returns the same
 * one. Attack: with the code alone, which others may have seen, nobody redeems it before or after its
 * confirmation.
 */
async function claim(deps: DeviceDeps, context: HandlerContext, claimed: Claim): Promise<Response> {
  const { attempt, possession, clientName } = claimed;
  const at = deps.now();
  const secret =
    kinds.dashboard.pollingPrefix + deriveSecret(possession, attempt.id, 'polling', 32).toString('base64url');
  const state = stateAt(attempt, at);
  if (state === 'denied' || state === 'expired') throw new Refusal('CLI_CODE_INVALID');
  const { address, userAgent } = origin(context);
  const pollingHash = hashPollingSecret(attempt.projectId, 'dashboard', secret);
  const changes = { pollingHash, clientName, address, userAgent };
  const isFirst =
    state === 'pending' &&
    (await change(context, (em) => advance(em, context, attempt, { event: 'claim', changes }, at)));
  if (isFirst) return waiting(attempt, secret);
  const own = await findByPollingSecret(context, 'dashboard', secret);
  if (!own) throw new Refusal('CLI_CODE_USED');
  return waiting(own, secret);
}

function waiting(
  { comparison, pollInterval }: Pick<Attempt, 'comparison' | 'pollInterval'>,
  pollingCode: string,
): Response {
  return {
    state: LoginState.CLAIMED,
    pollingCode,
    interval: durationFromMs(pollInterval * 1000),
    comparisonNumber: comparison,
  };
}

const refusals = {
  denied: 'ACCESS_DENIED',
  expired: 'CLI_CODE_INVALID',
  redeemed: 'CLI_CODE_USED',
} as const;

async function poll(
  deps: DeviceDeps,
  context: HandlerContext,
  pollingCode: string,
  { clientNonce }: RedeemDashboardCodeRequest,
): Promise<Response> {
  const at = deps.now();
  const polled = await deps.polls.poll(context, 'dashboard', pollingCode, at);
  if (!polled) throw new Refusal('CLI_CODE_INVALID');
  const { attempt } = polled;
  if (!attempt) return waiting(polled, pollingCode);
  const possession = possessionOf(pollingCode, clientNonce);
  const { clientName } = attempt;
  const credential = keyCredential(deps, context, { kind: 'dashboard', possession, clientName, scopes: [] });
  const redeemed = await redeem(context, { attempt, possession }, credential, at);
  if (redeemed.response) return { state: LoginState.APPROVED, ...redeemed.response };
  const { state } = redeemed;
  if (state === 'pending' || state === 'claimed') return waiting(attempt, pollingCode);
  throw new Refusal(refusals[state]);
}
