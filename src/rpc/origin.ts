import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { plainAddress } from '../text/plain-address.ts';

/** Where a call came from, as trusted proxies report it. */
export interface Origin {
  readonly requestId: string;
  /** The client's network address; behind trusted proxies the one they report. */
  readonly address: string;
  /** At most 512 printable characters. */
  readonly userAgent: string;
  /** Set where X-Forwarded-For has no address in the place that trusted proxies write: `address` is that of the proxy. */
  readonly isForwardingUnread?: boolean;
}

const requestIdPattern = /^[A-Za-z0-9._-]{8,64}$/;

/** Reads the origin of a call, from gRPC metadata and HTTP headers alike. */
export function readOrigin(header: (name: string) => string | null, socketAddress: string, proxyHops: number): Origin {
  const requestId = header('x-request-id');
  const reported = proxyHops === 0 ? undefined : reportedAddress(header('x-forwarded-for'), proxyHops);
  const isForwardingUnread = reported !== undefined && isIP(reported) === 0;
  return {
    requestId: requestId && requestIdPattern.test(requestId) ? requestId : randomUUID(),
    address: plainAddress(reported === undefined || isForwardingUnread ? socketAddress : reported),
    ...(isForwardingUnread && { isForwardingUnread }),
    userAgent: (header('user-agent') ?? '').replace(/[^\x20-\x7e]/g, '').slice(0, 512),
  };
}

/**
 * The client's network address as `hops` trusted proxies report it: the entry of X-Forwarded-For that the outermost of
 * them wrote, counted from the right, because the client itself can write anything further left. Undefined without the
 * header.
 */
function reportedAddress(forwardedFor: string | null, hops: number): string | undefined {
  if (!forwardedFor) return undefined;
  const entries = forwardedFor.split(',').map((each) => each.trim());
  return unbracketed(entries.at(-hops) ?? entries[0]!);
}

function unbracketed(entry: string): string {
  return entry.replace(/^\[(.*)\](:\d+)?$/, '$1').replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1');
}
