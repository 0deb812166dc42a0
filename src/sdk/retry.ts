import type { DescMethod } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { retryAfter } from './error-details.ts';

export interface CallDefaults {
  /** How long a call may take in all, in milliseconds, when it does not say so itself. Default 10 000; 0 for no end. */
  readonly timeoutMs?: number;
  /** How often a call is tried at most, the first time included. Default 4; 1 for no second try. */
  readonly maxAttempts?: number;
}

/** Milliseconds before the second try, doubled before each further one. Half of it is left to chance. */
const firstPause = 250;

/**
 * Gives every unary call a deadline, and tries again what found the service unavailable: only methods that change
 * nothing, never sooner than the service asked for (RetryInfo), and only as long as the deadline has not come by then.
 * Whatever fails for good is thrown as it was. Streams have no deadline but their own, and are never repeated.
 */
export function withRetries(transport: Transport, defaults: CallDefaults): Transport {
  return {
    stream: (...call) => transport.stream(...call),
    async unary(method, signal, timeoutMs = defaults.timeoutMs ?? 10_000, header, input, contextValues) {
      const end = timeoutMs > 0 ? performance.now() + timeoutMs : Number.POSITIVE_INFINITY;
      const attempts = isSafe(method) ? (defaults.maxAttempts ?? 4) : 1;
      const headers = new Headers(header);
      for (let attempt = 1; ; attempt++) {
        try {
          return await transport.unary(method, signal, timeLeft(end), headers, input, contextValues);
        } catch (error) {
          const pause = pauseAfter(attempt, error);
          if (attempt >= attempts || !isUnavailable(error) || performance.now() + pause >= end) throw error;
          await sleep(pause, signal);
        }
      }
    },
  };
}

/** Whether the method may be called twice where it was meant once. Introspect is no GET only because it takes a token. */
function isSafe(method: DescMethod): boolean {
  return method.idempotency === Idempotency.NO_SIDE_EFFECTS || method === SessionService.method.introspect;
}

function isUnavailable(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.Unavailable;
}

function timeLeft(end: number): number | undefined {
  return Number.isFinite(end) ? Math.max(1, Math.ceil(end - performance.now())) : undefined;
}

// What the service asked for comes on top: everybody else was asked to wait as long.
function pauseAfter(attempt: number, error: unknown): number {
  const backoff = firstPause * 2 ** (attempt - 1) * (0.5 + Math.random() / 2);
  return backoff + (retryAfter(error) ?? 0) * 1000;
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(ConnectError.from(signal?.reason, Code.Canceled));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}
