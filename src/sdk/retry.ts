import type { DescMethod } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type Transport } from '@connectrpc/connect';
import { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { retryAfter } from './error-details.ts';
import { hasRequestId } from './request-ids.ts';

export interface CallDefaults {
  /** Timeout in milliseconds of a call that sets none, all attempts included. Default 10 000; 0 for no timeout. */
  readonly timeoutMs?: number;
  /** Maximum attempts of a call, the first one included. Default 4; 1 for no retries. */
  readonly maxAttempts?: number;
}

/** Milliseconds before the second attempt, doubled before each further one. Up to half of it is random. */
const firstPause = 250;

/**
 * Gives every unary call a deadline, and retries a call that found the service unavailable: only for methods that
 * change nothing, for Refresh and for requests with a request id, never sooner than the service asked for (RetryInfo),
 * and only within the deadline. The last error is thrown unchanged. Streams get no default deadline and are never retried.
 */
export function withRetries(transport: Transport, defaults: CallDefaults): Transport {
  return {
    stream: (...call) => transport.stream(...call),
    async unary(method, signal, timeoutMs = defaults.timeoutMs ?? 10_000, header, input, contextValues) {
      const end = timeoutMs > 0 ? performance.now() + timeoutMs : Number.POSITIVE_INFINITY;
      const attempts = isSafe(method) || hasRequestId(input) ? (defaults.maxAttempts ?? 4) : 1;
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

/**
 * Whether a retry is safe. Introspect changes nothing, and is not marked so only to keep its token out of URLs. A repeated
 * Refresh returns the same refresh token, because its attempt id is the same.
 */
function isSafe(method: DescMethod): boolean {
  const { introspect, refresh } = SessionService.method;
  return method.idempotency === Idempotency.NO_SIDE_EFFECTS || method === introspect || method === refresh;
}

function isUnavailable(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.Unavailable;
}

function timeLeft(end: number): number | undefined {
  return Number.isFinite(end) ? Math.max(1, Math.ceil(end - performance.now())) : undefined;
}

// Added to the wait that the service asked for, since it asked all clients for the same one.
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
