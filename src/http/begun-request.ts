import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ContextValues } from '@connectrpc/connect';
import { kOrigin, kProjectName } from '../rpc/context.ts';
import { contextValuesOf } from './connect.ts';

/** A request that calls methods in the process. */
interface BegunRequest {
  readonly context: ContextValues;
  /** Aborted when the client disconnects. */
  readonly gone: AbortSignal;
}

/** Creates the context of the calls that serve a request, and puts its id into the response. */
export function beginRequest(req: IncomingMessage, res: ServerResponse, proxyHops: number): BegunRequest {
  const context = contextValuesOf(req, proxyHops);
  context.set(kProjectName, [req.headers['gatehouse-project']].flat()[0]);
  const gone = new AbortController();
  if (res.destroyed) gone.abort();
  // A response that has left needs no cancelling, and each abort without a reason creates an error with its stack.
  else res.once('close', () => res.writableFinished || gone.abort());
  // The rest of a body that is too large is discarded. Unread, it would hide that the client has disconnected.
  res.once('finish', () => req.resume());
  res.setHeader('x-request-id', context.get(kOrigin).requestId);
  return { context, gone: gone.signal };
}
