import { accessSync, constants } from 'node:fs';
import { ConnectionUrlFault, decode } from './connection-url-fault.ts';

export const tlsModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type TlsMode = (typeof tlsModes)[number];

const bindings = ['disable', 'prefer', 'require'] as const;

/** How connections are opened. Times are in seconds. */
export interface GivenParameters {
  readonly tls: {
    /** Undefined: `allow` for a host on this machine, else `prefer`. */
    readonly mode: TlsMode | undefined;
    /** Paths of PEM files. They are read for each connection, so that they can be renewed. */
    readonly rootCert: string | undefined;
    readonly cert: string | undefined;
    readonly key: string | undefined;
  };
  readonly channelBinding: (typeof bindings)[number];
  readonly applicationName: string;
  readonly connectTimeout: number | undefined;
  /** Command-line options of the server, such as `-c search_path=auth`. */
  readonly options: string | undefined;
  readonly keepAlive: {
    readonly enabled: boolean;
    readonly idle: number;
    readonly interval: number;
    readonly count: number;
  };
}

const known = [
  ...['host', 'port', 'target_session_attrs', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'channel_binding'],
  ...['application_name', 'connect_timeout', 'options'],
  ...['keepalives', 'keepalives_idle', 'keepalives_interval', 'keepalives_count'],
];

/** What to write instead of a parameter of libpq or of another library. */
const cures: Readonly<Record<string, string>> = {
  user: 'write the user before the @',
  password: 'write the password before the @',
  dbname: 'write the database after the host',
  hostaddr: 'write the address as the host',
  schema: 'use options=-c%20search_path%3DNAME',
  search_path: 'use options=-c%20search_path%3DNAME',
  currentSchema: 'use options=-c%20search_path%3DNAME',
  ssl: 'use sslmode',
  uselibpqcompat: 'leave it out: sslmode means what it means in libpq',
  sslaccept: 'use sslmode',
  statement_timeout: 'use DATABASE_STATEMENT_TIMEOUT',
  lock_timeout: 'use DATABASE_STATEMENT_TIMEOUT',
  connection_limit: 'use DATABASE_POOL_SIZE',
  pool_timeout: 'leave it out',
  pgbouncer: 'leave it out: a pooler is recognised at the start',
  prepareThreshold: 'leave it out: a pooler is recognised at the start',
};

/** Reads the part of the URL after the question mark. */
export function connectionParameters(query: string | undefined): GivenParameters & { host?: string; port?: string } {
  const given = readPairs(query);
  const file = (name: string): string | undefined => readFile(name, given.get(name));
  requireChoice('target_session_attrs', given, ['any', 'read-write', 'primary']);
  const options = given.get('options');
  if (options) requireFreeOptions(options);
  const host = given.get('host');
  const port = given.get('port');
  return {
    ...(host !== undefined && { host }),
    ...(port !== undefined && { port }),
    tls: {
      mode: requireChoice('sslmode', given, tlsModes),
      rootCert: given.get('sslrootcert') === 'system' ? 'system' : file('sslrootcert'),
      cert: file('sslcert'),
      key: file('sslkey'),
    },
    channelBinding: requireChoice('channel_binding', given, bindings) ?? 'prefer',
    applicationName: given.get('application_name') || 'gatehouse',
    // libpq waits for ever with 0.
    connectTimeout: readNumber('connect_timeout', given, 0, 600) || undefined,
    options: options || undefined,
    keepAlive: {
      enabled: readNumber('keepalives', given, 0, 1) !== 0,
      idle: readNumber('keepalives_idle', given, 0, 32_767) || 30,
      interval: readNumber('keepalives_interval', given, 0, 32_767) || 10,
      count: readNumber('keepalives_count', given, 0, 127) || 3,
    },
  };
}

function readPairs(query: string | undefined): Map<string, string> {
  const given = new Map<string, string>();
  for (const pair of query ? query.split('&') : []) {
    const equals = pair.indexOf('=');
    const name = decode(equals < 0 ? pair : pair.slice(0, equals), 'the name of a parameter');
    if (!known.includes(name)) throw new ConnectionUrlFault(refuse(name));
    if (equals < 0) throw new ConnectionUrlFault(`the parameter ${name} has no value`);
    if (given.has(name)) throw new ConnectionUrlFault(`the parameter ${name} is there twice`);
    given.set(name, decode(pair.slice(equals + 1), `the parameter ${name}`));
  }
  return given;
}

function refuse(name: string): string {
  // Attack: any other name may be a part of a password with an unencoded question mark.
  if (!/^[a-z]\w{1,40}$/i.test(name))
    return 'a parameter has no valid name: is a ? of the password not encoded as %3F?';
  return `the parameter ${name} is not supported: ${cures[name] ?? `leave it out, or use one of ${known.join(', ')}`}`;
}

function requireChoice<const T extends string>(
  name: string,
  given: ReadonlyMap<string, string>,
  allowed: readonly T[],
) {
  const value = given.get(name);
  if (value === undefined || allowed.includes(value as T)) return value as T | undefined;
  throw new ConnectionUrlFault(`${name} must be one of ${allowed.join(', ')}`);
}

function readNumber(name: string, given: ReadonlyMap<string, string>, least: number, most: number): number | undefined {
  const text = given.get(name);
  if (text === undefined) return undefined;
  const value = /^\d{1,6}$/.test(text) ? Number(text) : -1;
  if (value >= least && value <= most) return value;
  throw new ConnectionUrlFault(`${name} is not a whole number from ${least} to ${most}`);
}

function readFile(name: string, file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    accessSync(file, constants.R_OK);
    return file;
  } catch (error) {
    throw new ConnectionUrlFault(`the file of ${name} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** Settings of a session that each connection sets, so that `options` could not change them. */
const ours: Readonly<Record<string, string>> = {
  statement_timeout: 'use DATABASE_STATEMENT_TIMEOUT',
  lock_timeout: 'use DATABASE_STATEMENT_TIMEOUT',
  idle_in_transaction_session_timeout: 'use DATABASE_STATEMENT_TIMEOUT',
  datestyle: 'leave it out',
  timezone: 'leave it out',
  client_encoding: 'leave it out',
  application_name: 'use application_name=NAME',
};

/** The settings that command-line options of PostgreSQL set: `-c name=value` or `--name=value`. */
export function settingsIn(options = ''): string[] {
  return [...options.matchAll(/(?:^|\s)(?:-c\s*|--)([\w.-]+)=/g)].map(([, name]) =>
    name!.toLowerCase().replaceAll('-', '_'),
  );
}

/** The first schema of the search path in these command-line options: tables are created in it. */
export function schemaIn(options = ''): string | undefined {
  return /(?:^|\s)(?:-c\s*|--)search[_-]path=([\w$]+)/i.exec(options)?.[1];
}

function requireFreeOptions(options: string): void {
  const name = settingsIn(options).find((each) => each in ours);
  if (name) throw new ConnectionUrlFault(`options must not set ${name}: ${ours[name]}`);
}
