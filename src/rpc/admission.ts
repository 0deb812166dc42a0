import type { Interceptor } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
import { networkOf } from '../throttle/client-network.ts';
import { kCertificateNames, kOrigin } from './context.ts';

/**
 * Refuses calls beyond `most` in flight with SERVER_BUSY, so that the calls it admits stay fast. While more than half are in
 * flight, each client has an equal share of them, and there is one share for a client without calls: many calls of one client
 * do not give SERVER_BUSY to others. A client is a backend with a certificate, or a network.
 */
export function admission(most: number): Interceptor {
  let inFlight = 0;
  const byClient = new Map<string, number>();
  const isFull = (own: number): boolean => {
    if (inFlight < most / 2) return false;
    return inFlight >= most || own >= Math.max(1, Math.floor(most / (byClient.size + 1)));
  };
  return (next) => async (req) => {
    if (req.stream) return next(req);
    const { contextValues } = req;
    const client = contextValues.get(kCertificateNames)[0] ?? networkOf(contextValues.get(kOrigin).address);
    const own = byClient.get(client) ?? 0;
    if (isFull(own)) throw new Refusal('SERVER_BUSY', { retryAfter: 1 });
    inFlight++;
    byClient.set(client, own + 1);
    try {
      return await next(req);
    } finally {
      inFlight--;
      const left = byClient.get(client)! - 1;
      if (left > 0) byClient.set(client, left);
      else byClient.delete(client);
    }
  };
}
