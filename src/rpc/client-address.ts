import { BlockList, isIP, isIPv6, SocketAddress } from 'node:net';

const mapped = new BlockList();
mapped.addSubnet('::ffff:0:0', 96, 'ipv6');

/**
 * The client's address. Behind `hops` trusted proxies it is the entry of X-Forwarded-For that the outermost of them
 * wrote: counted from the right, since everything further left is the client's own word.
 */
export function clientAddress(socketAddress: string, forwardedFor: string | null, hops: number): string {
  const own = plain(socketAddress);
  if (hops === 0 || !forwardedFor) return own;
  const entries = forwardedFor.split(',').map((each) => each.trim());
  const reported = entries.at(-hops) ?? entries[0]!;
  return isIP(unbracketed(reported)) ? plain(unbracketed(reported)) : own;
}

function plain(address: string): string {
  if (!address.includes(':')) return address;
  const bare = address.replace(/%.*$/, '');
  if (!isIPv6(bare)) return bare;
  const short = new SocketAddress({ address: bare, family: 'ipv6' }).address;
  return mapped.check(short, 'ipv6') ? short.slice(short.lastIndexOf(':') + 1) : short;
}

function unbracketed(entry: string): string {
  return entry.replace(/^\[(.*)\](:\d+)?$/, '$1').replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1');
}
