/**
 * The wait for a standby was cancelled: the commit stands, but a failover may lose it, so its outcome is unknown. The rows
 * are those that the statement returned.
 */
export class UnconfirmedCommit extends Error {
  override name = 'UnconfirmedCommit';
  readonly code = '40003';
  readonly rows: readonly unknown[];

  constructor(rows: readonly unknown[]) {
    super('no standby confirmed the commit');
    this.rows = rows;
  }
}

/** A client that notices when its last statement committed without a standby. */
export interface Confirming {
  /** Throws UnconfirmedCommit when the statement with this result committed, and no standby confirmed that. */
  requireConfirmed<Result extends { rows: readonly unknown[] }>(result: Result): Result;
}

/** What a failure of the database means for the call. */
export type Fault = 'unavailable' | 'conflict' | 'timeout' | 'bad-input' | 'unique' | undefined;

const unavailable = new Set([
  '25006', // read only: connected to a standby after a failover
  '40003', // statement completion unknown: no standby confirmed the commit
  '53100', // disk full
  '53200', // out of memory
  '53300', // too many connections
  '55P03', // lock not available: lock_timeout
  '57P01', // admin shutdown
  '57P02', // crash shutdown
  '57P03', // cannot connect now
  '57P05', // idle session timeout
  '26000', // the prepared statement does not exist: a pooler has changed the server
  '42P05', // the prepared statement exists already: as above
  '25P03', // idle in transaction timeout
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ENOENT', // the embedded database has no socket
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

// pg reports these without a code.
const lostConnection =
  /Connection terminated|Client (has encountered a connection error|was closed)|timeout exceeded when trying/;

/** Reads the SQLSTATE or the system's error code from the error or its causes. Undefined for other errors. */
export function faultOf(error: unknown): Fault {
  for (const { code, message, cannotConnect } of causesOf(error)) {
    // Whatever keeps a connection from being opened: even a wrong password may be changed while this process runs.
    if (cannotConnect) return 'unavailable';
    if (unavailable.has(code) || code.startsWith('08') || lostConnection.test(message)) return 'unavailable';
    if (code === '40001' || code === '40P01') return 'conflict';
    if (code === '57014') return 'timeout';
    if (code === '22021' || code === '22P05') return 'bad-input';
    if (code === '23505') return 'unique';
  }
  return undefined;
}

/** Whether the server does not have the prepared statements that were prepared over this connection. */
export function hasLostStatements(error: unknown): boolean {
  return causesOf(error).some(({ code }) => code === '26000' || code === '42P05');
}

/**
 * The SQLSTATE of a failure caused by the values: wrong data, a broken constraint, a limit of the database. With the same
 * values the statement fails every time.
 */
export function dataFaultOf(error: unknown): string | undefined {
  return causesOf(error).find(({ code }) => /^(22|23|54)\w{3}$/.test(code))?.code;
}

interface Cause {
  readonly code: string;
  readonly message: string;
  /** The host and port of the connection. */
  readonly place: string | undefined;
  /** Whether there was no connection for the statement. */
  readonly cannotConnect: true | undefined;
}

/** The error and its causes, outermost first. MikroORM copies all properties of the error that it wraps. */
export function causesOf(error: unknown): Cause[] {
  if (!(error instanceof Error)) return [];
  const { code, message, place, cannotConnect, previous } = error as Error & Partial<Cause> & { previous?: unknown };
  const cause = { code: String(code ?? ''), message, place, cannotConnect };
  return [cause, ...causesOf(previous), ...causesOf(error.cause)];
}
