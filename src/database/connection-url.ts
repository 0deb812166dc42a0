import { isIP } from 'node:net';
import { connectionParameters, type GivenParameters } from './connection-parameters.ts';
import { ConnectionUrlFault, decode } from './connection-url-fault.ts';

export interface DatabaseHost {
  /** A name, an IP address, or the absolute path of the directory of a Unix socket. */
  readonly host: string;
  readonly port: number;
}

/** Where the database is and how connections to it are opened. */
export interface ConnectionTarget extends GivenParameters {
  /** Tried in this order. */
  readonly hosts: readonly DatabaseHost[];
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: string | undefined;
}

const form = /^postgres(?:ql)?:\/\/(?:([^/?#\s]*)@)?([^/?#\s@]*)(?:\/([^?#\s]*))?(?:\?([^#\s]*))?$/;

/**
 * Reads a connection URI as libpq does, with several hosts and with its parameters. A parameter that would have no effect
 * is refused by its name. Throws ConnectionUrlFault, whose message contains no value.
 */
export function parseConnectionUrl(text: string): ConnectionTarget {
  const [, credentials, authority = '', database, query] = form.exec(text) ?? fail(text);
  const { user, password } = readCredentials(credentials);
  const { host, port, ...parameters } = connectionParameters(query);
  const hosts = readHosts(authority, host, port);
  if (!authority && !host && !database && !user) throw new ConnectionUrlFault('without a host and a database');
  const target = { ...parameters, hosts, user, password, database: decode(database, 'the database') || user };
  requireTls(target);
  return target;
}

function fail(text: string): never {
  if (!/^postgres(ql)?:\/\//.test(text)) throw new ConnectionUrlFault('does not begin with postgres://');
  const cure =
    'not a URL: percent-encode special characters of user, password and database, a space as %20, a # as %23';
  throw new ConnectionUrlFault(cure);
}

function readCredentials(text = ''): { user: string | undefined; password: string | undefined } {
  const colon = text.indexOf(':');
  const [user, password] = colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  return {
    user: decode(user, 'the user') || undefined,
    password: decode(password, 'the password') || undefined,
  };
}

/** The parameters `host` and `port` replace those of the authority, as in libpq. */
function readHosts(authority: string, host: string | undefined, port: string | undefined): DatabaseHost[] {
  const given =
    host === undefined ? readAuthority(authority) : host.split(',').map((each) => ({ host: each, port: '' }));
  const ports = port === undefined ? given.map((each) => each.port) : port.split(',');
  if (ports.length !== 1 && ports.length !== given.length)
    throw new ConnectionUrlFault('port has another number of entries than there are hosts');
  return given.map((each, index) => ({
    host: requireHost(each.host || 'localhost'),
    port: readPort(ports.length === 1 ? ports[0]! : ports[index]!),
  }));
}

function readAuthority(authority: string): { host: string; port: string }[] {
  return authority.split(',').map((part) => {
    const [, inBrackets, plain = '', port = ''] = /^(?:\[([^[\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(part) ?? [];
    if (inBrackets === undefined && !plain && part)
      throw new ConnectionUrlFault('a host is not of the form host:port or [IPv6]:port');
    const host = decode(inBrackets ?? plain, 'the host');
    if (inBrackets !== undefined && isIP(host) !== 6) throw new ConnectionUrlFault('brackets hold no IPv6 address');
    return { host, port };
  });
}

function requireHost(host: string): string {
  if (host.startsWith('/') || /^[\w.%:-]+$/.test(host)) return host;
  throw new ConnectionUrlFault('a host is neither a name, nor an IP address, nor the path of a directory');
}

function readPort(text: string): number {
  if (text === '') return 5432;
  const port = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new ConnectionUrlFault('a port is not a whole number from 1 to 65535');
  return port;
}

/** Attack: a certificate that nobody checks, or a connection in plain text, would make these parameters mean nothing. */
function requireTls({ tls, channelBinding, hosts }: ConnectionTarget): void {
  const isEncrypted = tls.mode === 'require' || tls.mode === 'verify-ca' || tls.mode === 'verify-full';
  if (tls.mode === 'verify-ca' && !tls.rootCert)
    throw new ConnectionUrlFault('sslmode=verify-ca needs sslrootcert; for public authorities use sslmode=verify-full');
  if (tls.rootCert === 'system' && tls.mode !== 'verify-full')
    throw new ConnectionUrlFault('sslrootcert=system needs sslmode=verify-full');
  if (channelBinding === 'require' && !isEncrypted)
    throw new ConnectionUrlFault('channel_binding=require needs sslmode=require or stricter');
  if (isEncrypted && hosts.every(({ host }) => host.startsWith('/')))
    throw new ConnectionUrlFault('a Unix socket has no TLS: leave sslmode out');
  if (Boolean(tls.cert) !== Boolean(tls.key)) throw new ConnectionUrlFault('sslcert and sslkey belong together');
}

/** Whether all hosts are on this machine. */
export function isLocal({ hosts }: Pick<ConnectionTarget, 'hosts'>): boolean {
  return hosts.every(({ host }) => isLocalHost(host));
}

export function isLocalHost(host: string): boolean {
  return (
    host.startsWith('/') || host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
  );
}
