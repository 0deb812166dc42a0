import { create, type DescMethodUnary, type Message } from '@bufbuild/protobuf';
import type { HandlerContext, Interceptor, MethodImplSpec, UnaryRequest, UnaryResponse } from '@connectrpc/connect';

export type UnarySpec = Extract<MethodImplSpec, { kind: 'unary' }>;

type AnyFn = ReturnType<Interceptor>;

interface ContextualRequest extends UnaryRequest {
  readonly context: HandlerContext;
}

/**
 * A unary method with its interceptors. The chain is built once; Connect's own helper builds it for each call and
 * copies the context too. In return, every interceptor must pass on the request object that it was given.
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
