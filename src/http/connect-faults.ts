import { createContextKey, type Interceptor } from '@connectrpc/connect';
import type { UniversalHandler, UniversalServerRequest, UniversalServerResponse } from '@connectrpc/connect/protocol';
import { codeToHttpStatus, errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import { type Reason, Refusal } from '../errors.ts';
import { toConnectError } from '../rpc/connect-error.ts';
import { longestCall, longestStream } from '../rpc/deadline.ts';
import { type CheckedRequest, checkRequest, iterate } from './request-message.ts';

/** How far a call came: errors before and after our interceptors are Connect's own. */
const kProgress = createContextKey<'unread' | 'answered' | 'refused'>('unread', {
  description: 'progress of the call',
});

/** Marks what leaves our interceptors. The outermost one. */
export const markProgress: Interceptor = (next) => async (req) => {
  try {
    const response = await next(req);
    req.contextValues.set(kProgress, 'answered');
    return response;
  } catch (thrown) {
    req.contextValues.set(kProgress, 'refused');
    throw thrown;
  }
};

/**
 * Has a handler of Connect answer, and gives our codes and reasons to the errors that it raises itself: a body that is no
 * JSON, bad gzip, a wrong content type. Their text may quote the body and is not passed on. Errors of ours pass as they
 * are, compressed or not.
 */
export async function respond(
  handler: UniversalHandler,
  request: UniversalServerRequest,
  refusesUnknownFields: boolean,
): Promise<UniversalServerResponse> {
  const unsupported = refuseUnsupported(handler, request);
  if (unsupported) return unsupported;
  try {
    clampTimeout(request.header, handler.method.methodKind === 'unary' ? longestCall : longestStream);
    const checked = await checkRequest(handler, request, refusesUnknownFields);
    const response = await handler(checked.request);
    const isOurs = response.status === 200 || response.status === 304 || progressOf(request) === 'refused';
    return isOurs ? response : refused(explain(response.status, request, checked));
  } catch (thrown) {
    if (thrown instanceof Refusal) return refused(thrown);
    throw thrown;
  }
}

/** The response of a refusal that no interceptor has seen. */
export function refused(refusal: Refusal, status = codeToHttpStatus(refusal.code), header = {}) {
  const body = refusalBody(refusal);
  const content = { 'content-type': 'application/json', 'content-length': `${body.byteLength}` };
  return { status, header: new Headers({ ...content, ...header }), body: iterate(body) };
}

export function refusalBody(refusal: Refusal): Uint8Array {
  return errorToJsonBytes(toConnectError(refusal), undefined);
}

function refuseUnsupported(
  { allowedMethods, supportedContentType }: UniversalHandler,
  request: UniversalServerRequest,
) {
  const allow = allowedMethods.join(', ');
  if (!allowedMethods.includes(request.method))
    return refused(new Refusal('METHOD_NOT_FOUND', { detail: `use ${allow}` }), 405, { allow });
  const isGet = request.method === 'GET';
  const detail = isGet ? 'use the parameter encoding=json' : 'send content-type: application/json';
  const isSupported = isGet
    ? /^(json|proto)$/.test(new URL(request.url).searchParams.get('encoding') ?? '')
    : supportedContentType(request.header.get('content-type') ?? '');
  return isSupported ? undefined : refused(new Refusal('ENCODING_NOT_SUPPORTED', { detail }), 415);
}

/** Without a deadline of its own a call has ours, which is also the longest. Connect would refuse one that is longer. */
function clampTimeout(header: Headers, longest: number): void {
  const timeout = header.get('connect-timeout-ms') ?? `${longest}`;
  if (!/^\d{1,10}$/.test(timeout))
    throw new Refusal('MALFORMED_REQUEST', { detail: 'connect-timeout-ms is not a number of at most 10 digits' });
  header.set('connect-timeout-ms', `${Math.min(Number(timeout), longest)}`);
}

const reasonOfStatus: Readonly<Record<number, Reason>> = {
  409: 'CANCELED',
  429: 'REQUEST_TOO_LARGE',
  499: 'CANCELED',
  501: 'ENCODING_NOT_SUPPORTED',
  503: 'SHUTTING_DOWN',
  504: 'DEADLINE_EXCEEDED',
};

function explain(status: number, request: UniversalServerRequest, checked: CheckedRequest): Refusal {
  if (progressOf(request) === 'answered') return new Refusal('INTERNAL');
  if (status === 501) return new Refusal('ENCODING_NOT_SUPPORTED', { detail: 'compress with gzip or not at all' });
  const reason = reasonOfStatus[status];
  return reason ? new Refusal(reason) : checked.explain();
}

function progressOf({ contextValues }: UniversalServerRequest) {
  return contextValues?.get(kProgress);
}
