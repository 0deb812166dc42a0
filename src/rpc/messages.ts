import type { Interceptor, StreamResponse } from '@connectrpc/connect';

type AnyResponse = Awaited<ReturnType<ReturnType<Interceptor>>>;
type Messages = StreamResponse['message'];

/** A response whose messages, if it is a stream, pass through a function. An interceptor sees nothing of them otherwise. */
export function throughStream(response: AnyResponse, pass: (messages: Messages) => Messages): AnyResponse {
  return response.stream ? { ...response, message: pass(response.message) } : response;
}
