import { causesOf, faultOf } from './sqlstate.ts';

/** What a failure of the database is, without a value of a statement. */
export interface DatabaseFault {
  /** The SQLSTATE, or the code of the system, of TLS or of the pool. */
  readonly code: string;
  /** The host and the port of the connection, if there was one. */
  readonly database?: string;
}

const counts = new Map<string, number>();

/** How often the database failed, by code. Conflicts and values that it refuses are no failures of it. */
export const faultCounts: ReadonlyMap<string, number> = counts;

/** A connection that could not be opened. */
export class ConnectionFailure extends Error {
  override name = 'ConnectionFailure';
  readonly code: string;
  readonly cannotConnect = true;

  constructor(cause: unknown, place: string) {
    const { message, code } = cause as Error & { code?: string };
    super(message || code, { cause });
    this.code = code ?? codeOfMessage(message);
    noteFault(this, place);
  }
}

/** All connections of the pool were in use for too long. */
export class PoolFull extends Error {
  override name = 'PoolFull';
  readonly code = 'POOL_FULL';
  readonly cannotConnect = true;

  constructor() {
    super('all connections of the pool are in use');
    noteFault(this, undefined);
  }
}

/** Counts a failure, and remembers the host and port that it came from. */
export function noteFault(error: unknown, place: string | undefined): void {
  if (!(error instanceof Error)) return;
  if (place) Object.defineProperty(error, 'place', { value: place, configurable: true });
  const fault = faultOf(error);
  if (fault === 'conflict' || fault === 'bad-input' || fault === 'unique') return;
  const { code } = describeFault(error) ?? {};
  if (code) counts.set(code, (counts.get(code) ?? 0) + 1);
}

/** Undefined for an error that is not the database's. */
export function describeFault(error: unknown): DatabaseFault | undefined {
  const causes = causesOf(error);
  const found = causes.map(({ code, message }) => (isCode(code) ? code : codeOfMessage(message))).find(Boolean);
  if (!found) return undefined;
  const place = causes.map((each) => each.place).find(Boolean);
  return { code: found, ...(place && { database: place }) };
}

function isCode(code: string): boolean {
  return /^([0-9A-Z]{5}|[A-Z][A-Z_]{3,39})$/.test(code) && !code.startsWith('ERR_INVALID');
}

/** pg reports these without a code. */
function codeOfMessage(message: string): string {
  if (/timeout expired|connection timeout/.test(message)) return 'ETIMEDOUT';
  if (/does not support SSL/.test(message)) return 'NO_TLS';
  if (/channel binding/i.test(message)) return 'NO_CHANNEL_BINDING';
  return /Connection terminated|not queryable/.test(message) ? 'CONNECTION_LOST' : '';
}
