/** The network that calls are counted by: an IPv4 address, or the /64 of an IPv6 address, which one customer has. */
export function networkOf(address: string): string {
  return address.includes(':') ? `${expand(address).slice(0, 4).join(':')}::/64` : address;
}

/**
 * The network that failed attempts are counted by, since one attacker may have many addresses: the /24 of an IPv4 address,
 * the smallest network that is routed by itself, or the /48 of an IPv6 address, the largest that one site is given
 * (RFC 6177).
 */
export function neighborhoodOf(address: string): string {
  if (address.includes(':')) return `${expand(address).slice(0, 3).join(':')}::/48`;
  return `${address.split('.').slice(0, 3).join('.')}.0/24`;
}

function expand(address: string): string[] {
  const [head = '', tail] = address.split('::');
  const left = head.split(':').filter(Boolean);
  const right = (tail ?? '').split(':').filter(Boolean);
  const zeros = Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  return [...left, ...(tail === undefined ? [] : zeros), ...right];
}
