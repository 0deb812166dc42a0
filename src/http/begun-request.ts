import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ContextValues } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
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
  res.once('close', () => gone.abort());
  // The rest of a body that is too large is discarded. Unread, it would hide that the client has disconnected.
  res.once('finish', () => req.resume());
  res.setHeader('x-request-id', context.get(kOrigin).requestId);
  return { context, gone: gone.signal };
}

/** Reads a body of limited size. Throws REQUEST_TOO_LARGE. */
export async function readBody(req: IncomingMessage, largest: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of req.iterator({ destroyOnReturn: false })) {
    length += part.length;
    if (length > largest) throw new Refusal('REQUEST_TOO_LARGE');
    parts.push(part);
  }
  return Buffer.concat(parts);
}
