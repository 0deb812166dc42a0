import type { IncomingMessage } from 'node:http';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { parseContentType } from '@connectrpc/connect/protocol-connect';
import { longestCall } from '../rpc/deadline.ts';
import type { UnarySpec } from '../rpc/unary-chain.ts';
import { timeoutIn, wrongCompression, wrongHost, wrongType, wrongVerb } from './connect-faults.ts';
import { contentTypeOf } from './lenient-request.ts';
import type { Reply } from './reply.ts';

/** What the headers and the query of a unary request ask for. */
export interface Asked {
  readonly isJson: boolean;
  /** Whether the message is compressed. */
  readonly isGzip: boolean;
  readonly timeoutMs: number;
  /** Of a GET, whose message is in it. */
  readonly query: URLSearchParams | undefined;
}

/** Reads a request up to its body. Returns the reply to a request that is not supported. Throws MALFORMED_REQUEST. */
export function readAsked({ method }: UnarySpec, req: IncomingMessage): Asked | Reply {
  const host = wrongHost(req);
  if (host) return host;
  const isGet = req.method === 'GET';
  const isSafe = method.idempotency === Idempotency.NO_SIDE_EFFECTS;
  if (req.method !== 'POST' && !(isGet && isSafe)) return wrongVerb(isSafe ? 'POST, GET' : 'POST');
  const query = isGet ? new URL(req.url ?? '', 'http://gatehouse').searchParams : undefined;
  const isJson = query ? isJsonQuery(query) : isJsonBody(req);
  if (isJson === undefined) return wrongType(isGet);
  const timeoutMs = timeoutIn(req, longestCall);
  const compression = (query ? query.get('compression') : req.headers['content-encoding']) ?? 'identity';
  if (compression !== 'identity' && compression !== 'gzip') return wrongCompression();
  return { isJson, isGzip: compression === 'gzip', timeoutMs, query };
}

/** Undefined for anything but JSON and protobuf. */
function isJsonQuery(query: URLSearchParams): boolean | undefined {
  const encoding = query.get('encoding');
  if (encoding === 'json') return true;
  return encoding === 'proto' ? false : undefined;
}

function isJsonBody(req: IncomingMessage): boolean | undefined {
  const type = contentTypeOf(req);
  // Nearly all clients send this.
  if (type === 'application/json') return true;
  const parsed = parseContentType(type);
  return parsed && !parsed.stream ? !parsed.binary : undefined;
}
