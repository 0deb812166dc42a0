import type { DescMethod } from '@bufbuild/protobuf';
import type { ContextValues, HandlerContext } from '@connectrpc/connect';
import { type Reason, Refusal } from '../errors.ts';

interface CallInit {
  readonly method: DescMethod;
  readonly requestHeader: Headers;
  readonly values: ContextValues;
  /** Milliseconds until the deadline. */
  readonly timeoutMs: number | undefined;
  readonly shutdownSignal: AbortSignal;
}

export interface CallContext extends HandlerContext {
  /**
   * Lets the call's signal tell everybody who works for it that there is no need any more. Of a call that is closed
   * already nobody is told: grpc-js reports every end as a cancellation, too.
   */
  abort(reason: Reason): void;
  /** The call has been answered: its timer and its ear for the shutdown are let go. */
  close(): void;
}

/**
 * The context of one gRPC call, as Connect's implementations expect it, with one signal for all that can end it early.
 * Connect's own makes four signals a call and aborts the last of them at every end, which costs more than a look-up in
 * the database.
 */
export function openCallContext({ method, requestHeader, values, timeoutMs, shutdownSignal }: CallInit): CallContext {
  const controller = new AbortController();
  const endsAt = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
  let isOpen = true;
  const abort = (reason: Reason): void => {
    if (isOpen) controller.abort(new Refusal(reason));
  };
  const expire = (): void => abort('DEADLINE_EXCEEDED');
  const shutDown = (): void => controller.abort(shutdownSignal.reason);
  const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs);
  if (timeoutMs === 0) expire();
  if (shutdownSignal.aborted) shutDown();
  else shutdownSignal.addEventListener('abort', shutDown, { once: true });
  return {
    method,
    service: method.parent,
    protocolName: 'grpc',
    requestMethod: 'POST',
    url: `http://gatehouse/${method.parent.typeName}/${method.name}`,
    signal: controller.signal,
    timeoutMs: () => endsAt && endsAt - performance.now(),
    requestHeader,
    responseHeader: new Headers(),
    responseTrailer: new Headers(),
    values,
    abort,
    close() {
      isOpen = false;
      clearTimeout(timer);
      shutdownSignal.removeEventListener('abort', shutDown);
    },
  };
}
