import { BlockList, isIPv6, SocketAddress } from 'node:net';

const mapped = new BlockList();
mapped.addSubnet('::ffff:0:0', 96, 'ipv6');

/** An address as audit events and limits have it: short, without a zone, IPv4 where it is one. */
export function plainAddress(address: string): string {
  if (!address.includes(':')) return address;
  const bare = address.replace(/%.*$/, '');
  if (!isIPv6(bare)) return bare;
  const short = new SocketAddress({ address: bare, family: 'ipv6' }).address;
  return mapped.check(short, 'ipv6') ? short.slice(short.lastIndexOf(':') + 1) : short;
}
