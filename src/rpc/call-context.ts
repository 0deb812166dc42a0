import type { DescMethod } from '@bufbuild/protobuf';
import type { ContextValues, HandlerContext } from '@connectrpc/connect';
import { type Reason, Refusal } from '../errors.ts';
import type { OpenCalls } from './open-calls.ts';

interface CallInit {
  readonly method: DescMethod;
  readonly protocolName: string;
  readonly requestMethod: string;
  readonly url: string;
  readonly requestHeader: Headers;
  readonly values: ContextValues;
  /** Milliseconds until the deadline. */
  readonly timeoutMs: number | undefined;
  readonly openCalls: OpenCalls;
}

export interface CallContext extends HandlerContext {
  /**
   * Aborts the signal of the call. Does nothing once the call is closed: the servers report every end of a call as a
   * cancellation too.
   */
  abort(reason: Reason): void;
  /** Clears the timer of a call that has ended, and keeps the shutdown from aborting it. */
  close(): void;
}

/**
 * The context of one call, as Connect's implementations expect it, with one signal for deadline, cancellation and
 * shutdown. Connect's own context creates four signals per call and aborts one of them at every end, which costs more
 * than a look-up in the database.
 */
export function openCallContext(init: CallInit): CallContext {
  const { method, protocolName, requestMethod, url, requestHeader, values, timeoutMs, openCalls } = init;
  const controller = new AbortController();
  const endsAt = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
  let isOpen = true;
  const abort = (reason: Reason): void => {
    if (isOpen) controller.abort(new Refusal(reason));
  };
  const expire = (): void => abort('DEADLINE_EXCEEDED');
  const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs);
  if (timeoutMs === 0) expire();
  const slot = openCalls.add(controller);
  return {
    method,
    service: method.parent,
    protocolName,
    requestMethod,
    url,
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
      openCalls.remove(slot);
    },
  };
}
