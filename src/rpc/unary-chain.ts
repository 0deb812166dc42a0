import { create, type DescMethodUnary, type Message } from '@bufbuild/protobuf';
import type { HandlerContext, Interceptor, MethodImplSpec, UnaryRequest, UnaryResponse } from '@connectrpc/connect';

export type UnarySpec = Extract<MethodImplSpec, { kind: 'unary' }>;

type AnyFn = ReturnType<Interceptor>;

interface ContextualRequest extends UnaryRequest {
  readonly context: HandlerContext;
}

/**
 * A unary method behind its interceptors. The chain is put together here, once; Connect's own helper does it anew for
 * each call, and copies the context as well. So interceptors hand on the request they were given, as all of ours do.
 */
export function chainOf({ method, impl }: UnarySpec, interceptors: readonly Interceptor[]) {
  const innermost = async (req: ContextualRequest): Promise<UnaryResponse> => {
    const { service, responseHeader: header, responseTrailer: trailer } = req.context;
    const message = create(method.output, await impl(req.message, req.context));
    return { stream: false, service, method, message, header, trailer };
  };
  const chain = interceptors.reduceRight<AnyFn>((next, each) => each(next), innermost as AnyFn);
  return async (message: Message, context: HandlerContext): Promise<Message> => {
    const request: ContextualRequest = {
      stream: false,
      service: method.parent,
      method: method as DescMethodUnary,
      requestMethod: context.requestMethod,
      url: context.url,
      signal: context.signal,
      header: context.requestHeader,
      contextValues: context.values,
      message,
      context,
    };
    return (await chain(request)).message as Message;
  };
}
