import { isIPv6 } from 'node:net';

/** Host and port as a URL contains them: with brackets around an IPv6 address (RFC 3986, section 3.2.2). */
export function authority(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}
