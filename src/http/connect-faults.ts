import type { IncomingMessage } from 'node:http';
import { Refusal } from '../errors.ts';
import { type Reply, refused } from './reply.ts';

export function wrongVerb(allow: string): Reply {
  return refused(new Refusal('METHOD_NOT_FOUND', { detail: `use ${allow}` }), 405, { allow });
}

export function wrongType(isGet: boolean): Reply {
  const detail = isGet ? 'use the parameter encoding=json' : 'send content-type: application/json';
  return refused(new Refusal('ENCODING_NOT_SUPPORTED', { detail }), 415);
}

/** A request that is compressed in a way that this service does not read. It names the way that it does. */
export function wrongCompression(): Reply {
  const detail = 'compress with gzip or not at all';
  return refused(new Refusal('ENCODING_NOT_SUPPORTED', { detail }), undefined, { 'accept-encoding': 'gzip' });
}

// Nearly all requests name the same host.
let validHost: string | undefined;

/** Undefined if the Host header is one. Without a host the request has no URL. */
export function wrongHost({ headers: { host } }: IncomingMessage): Reply | undefined {
  if (host !== undefined && host === validHost) return undefined;
  if (!URL.canParse(`http://${host ?? ''}`))
    return refused(new Refusal('MALFORMED_REQUEST', { detail: 'the Host header is not a host' }));
  validHost = host;
  return undefined;
}

/**
 * The milliseconds that the client gives a call, and at most `longest`. Without a timeout of its own a call has the longest.
 * Throws MALFORMED_REQUEST.
 */
export function timeoutIn({ headers }: IncomingMessage, longest: number): number {
  const timeout = headers['connect-timeout-ms'];
  if (timeout === undefined) return longest;
  if (typeof timeout !== 'string' || !/^\d{1,10}$/.test(timeout))
    throw new Refusal('MALFORMED_REQUEST', { detail: 'connect-timeout-ms is not a number of at most 10 digits' });
  return Math.min(Number(timeout), longest);
}
