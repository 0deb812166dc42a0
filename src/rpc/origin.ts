import { randomUUID } from 'node:crypto';
import { clientAddress } from './client-address.ts';
import type { Origin } from './context.ts';

const requestIdPattern = /^[A-Za-z0-9._-]{8,64}$/;

/** Reads where a call comes from: the same from gRPC metadata as from HTTP headers. */
export function readOrigin(header: (name: string) => string | null, socketAddress: string, proxyHops: number): Origin {
  const requestId = header('x-request-id');
  return {
    requestId: requestId && requestIdPattern.test(requestId) ? requestId : randomUUID(),
    address: clientAddress(socketAddress, header('x-forwarded-for'), proxyHops),
    userAgent: (header('user-agent') ?? '').replace(/[^\x20-\x7e]/g, '').slice(0, 512),
  };
}
