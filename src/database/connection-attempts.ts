import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { type ConnectionOptions, checkServerIdentity, getCACertificates } from 'node:tls';
import { type ConnectionTarget, isLocalHost } from './connection-url.ts';
import { ConnectionFailure, PoolFull } from './fault.ts';

/** One way to reach the database. */
export interface Attempt {
  readonly host: string;
  readonly port: number;
  /** Undefined for plain text. */
  readonly tls: ConnectionOptions | undefined;
}

interface Way {
  readonly host: string;
  readonly port: number;
  readonly isEncrypted: boolean;
}

/** The host did not respond at all, so that another way to reach the same host is no use. */
const unreachable = new Set([
  ...['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'ENOENT'],
  ...['EACCES', 'EADDRNOTAVAIL'],
]);

/** The server knows the user and the database, and refuses them: the next host would be no better, as in libpq. */
const isRefusal = (code: string): boolean => /^(28P01|28000|3D000|42501|53300)$/.test(code);

/**
 * The ways to reach the database: each host, encrypted or not as sslmode allows. All connections take the current one. When
 * it fails, the next one becomes the current one, for all connections.
 */
export class ConnectionAttempts {
  readonly target: ConnectionTarget;
  readonly #ways: readonly Way[];
  #current = 0;
  /** Undefined while connections can be opened. */
  #lastFailure: ConnectionFailure | undefined;

  constructor(target: ConnectionTarget) {
    this.target = target;
    this.#ways = target.hosts.flatMap(({ host, port }) =>
      encryptionsOf(target, host).map((isEncrypted) => ({ host, port, isEncrypted })),
    );
  }

  /** The attempt to make now. Certificates are read here, so that new connections use renewed ones. */
  next(): Attempt {
    const { host, port, isEncrypted } = this.#ways[this.#current]!;
    return { host, port, tls: isEncrypted ? tlsOptions(this.target, host) : undefined };
  }

  /** Opens a connection. A failure moves on, and each way is tried once. Throws the error of the last host that responded. */
  async open<T>(connect: () => Promise<T>): Promise<T> {
    const failures: ConnectionFailure[] = [];
    for (let left = this.#ways.length; ; ) {
      const tried = this.#current;
      try {
        const client = await connect();
        this.#lastFailure = undefined;
        return client;
      } catch (error) {
        if (error instanceof PoolFull) throw this.#lastFailure ?? error;
        const { host, port } = this.#ways[tried]!;
        const failure = new ConnectionFailure(error, placeOf(host, port));
        failures.push(failure);
        this.#lastFailure = failure;
        const skipped = this.#skip(tried, failure);
        left -= skipped;
        if (skipped === 0 || left <= 0) throw failures.findLast((each) => !isUnreachable(each)) ?? failure;
      }
    }
  }

  /** Returns the number of ways that the failure rules out; 0 when no other way can help. */
  #skip(tried: number, failure: ConnectionFailure): number {
    const next = this.#ways[tried + 1];
    const hasOtherWay =
      next !== undefined && next.host === this.#ways[tried]!.host && next.port === this.#ways[tried]!.port;
    const isOnly = this.#ways.length === 1;
    const { code } = failure;
    // Without an entry in pg_hba.conf for plain text or for TLS, the other one may be allowed.
    if (isOnly || (isRefusal(code) && !(code === '28000' && hasOtherWay))) return isOnly ? 1 : 0;
    const skipped = hasOtherWay && isUnreachable(failure) ? 2 : 1;
    // Race: connections that fail together move on once.
    if (this.#current === tried) this.#current = (tried + skipped) % this.#ways.length;
    return skipped;
  }
}

/** The host with its port, or the directory of a socket. */
export function placeOf(host: string, port: number): string {
  if (host.startsWith('/')) return host;
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

function isUnreachable(error: unknown): boolean {
  const { code, errors, cause } = error as { code?: string; errors?: unknown[]; cause?: { errors?: unknown[] } };
  return unreachable.has(code ?? '') || ((errors ?? cause?.errors)?.every(isUnreachable) ?? false);
}

/** Whether to encrypt, in the order of the attempts. */
function encryptionsOf({ tls: { mode } }: ConnectionTarget, host: string): readonly boolean[] {
  if (host.startsWith('/')) return [false];
  switch (mode ?? (isLocalHost(host) ? 'allow' : 'prefer')) {
    case 'disable':
      return [false];
    case 'allow':
      return [false, true];
    case 'prefer':
      return [true, false];
    default:
      return [true];
  }
}

/** As libpq: only the three stricter modes check the certificate, and `require` only with a root certificate. */
function tlsOptions({ tls }: ConnectionTarget, host: string): ConnectionOptions {
  const { mode, rootCert, cert, key } = tls;
  const isChecked = mode === 'verify-full' || mode === 'verify-ca' || (mode === 'require' && rootCert !== undefined);
  return {
    minVersion: 'TLSv1.2',
    rejectUnauthorized: isChecked,
    ...(isIP(host) === 0 && { servername: host }),
    ...(isChecked && rootCert && { ca: rootCert === 'system' ? getCACertificates('system') : readFileSync(rootCert) }),
    // Attack: over a socket that is open already Node would compare the certificate of an IP address with `localhost`.
    checkServerIdentity: (_, certificate) =>
      mode === 'verify-full' ? checkServerIdentity(host, certificate) : undefined,
    ...(cert && key && { cert: readFileSync(cert), key: readFileSync(key) }),
  };
}
