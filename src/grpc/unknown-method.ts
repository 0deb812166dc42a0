import { type Server, type StatusObject, status } from '@grpc/grpc-js';
import { Refusal } from '../errors.ts';
import { toConnectError } from '../rpc/connect-error.ts';
import { statusFrom } from './library-faults.ts';

type Respond = (error: Partial<StatusObject>, ...rest: unknown[]) => void;

/**
 * Gives calls of methods that the server does not have our reason. grpc-js answers them before any interceptor, with a
 * method that is private: should it move one day, they are UNIMPLEMENTED without a reason.
 */
export function explainUnknownMethods(server: Server): void {
  const inner = server as unknown as { _respondWithError?: Respond };
  const respond = inner._respondWithError?.bind(server);
  if (!respond) return;
  const notFound = statusFrom(toConnectError(new Refusal('METHOD_NOT_FOUND')));
  inner._respondWithError = (error, ...rest) =>
    respond(error.code === status.UNIMPLEMENTED ? notFound : error, ...rest);
}
