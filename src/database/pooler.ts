import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DatabaseClient } from './client.ts';
import type { Connections } from './connections.ts';
import { UnfitDatabase } from './unfit-database.ts';

/** Milliseconds after which a pooler has no second server connection for us. */
const patience = 3000;

/**
 * Finds out whether connections lead to a pooler, and how it shares those of the server. A direct connection receives our
 * settings in its startup message, which most poolers refuse. One that keeps its server until it is closed receives them by
 * SET. With one that changes the server after each transaction, SET would reach other clients, so the role must have the
 * settings. Throws UnfitDatabase if statements would not work.
 */
export async function adjustToPooler(connections: Connections): Promise<void> {
  connections.settingsBy = 'role';
  const first = await connections.open();
  try {
    const isDirect = (await backendOf(first)) === processOf(first);
    if (isDirect) connections.settingsBy = 'startup';
    else await adjustBehindPooler(connections, first);
  } finally {
    void first.end();
  }
  await requireSettings(connections);
}

async function adjustBehindPooler(connections: Connections, first: DatabaseClient): Promise<void> {
  const second = await connections.open();
  try {
    if (await sharesServers(first, second)) await requireSharing(first, second, connections);
    else connections.settingsBy = 'set';
  } finally {
    void second.end();
  }
}

/** A pooler makes up the process id of a connection. */
function processOf(client: DatabaseClient): number {
  return (client as unknown as { processID: number }).processID;
}

async function backendOf(client: DatabaseClient): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]!.pid;
}

/** Whether the second connection gets the server of the first one, or takes it away with a transaction. */
async function sharesServers(first: DatabaseClient, second: DatabaseClient): Promise<boolean> {
  for (let tried = 0; tried < 3; tried++) {
    const before = await backendOf(first);
    const taken = await Promise.race([beginAt(second), sleep(patience, undefined, { ref: false })]);
    // The pooler has one connection to the server, and the first client keeps it.
    if (taken === undefined) return false;
    const after = taken === before ? undefined : await backendOf(first);
    await second.query('rollback');
    if (after !== before) return true;
  }
  return false;
}

async function beginAt(client: DatabaseClient): Promise<number> {
  try {
    await client.query('begin');
    return await backendOf(client);
  } catch (error) {
    if (!/statement pooling/.test((error as Error).message)) throw error;
    throw new UnfitDatabase(
      'DATABASE_URL leads to a pooler in statement mode, which has no transactions: set pool_mode=session.',
    );
  }
}

async function requireSharing(
  first: DatabaseClient,
  second: DatabaseClient,
  { settings, statementTimeout }: Connections,
) {
  const missing = statementTimeout ? await missingSettings(first, settings) : [];
  const complaints = [
    ...((await losesStatements(first, second))
      ? [
          'DATABASE_URL leads to a pooler in transaction mode that loses prepared statements: set pool_mode=session, or use PgBouncer 1.21 or newer with max_prepared_statements=200.',
        ]
      : []),
    ...(missing.length > 0
      ? [
          `DATABASE_URL leads to a pooler in transaction mode, where connections cannot have settings of their own: run ${missing
            .map((name) => `ALTER ROLE CURRENT_USER SET ${name} = ${quote(settings[name]!)};`)
            .join(' ')} and reconnect the pooler.`,
        ]
      : []),
  ];
  if (complaints.length > 0) throw new UnfitDatabase(complaints.join(' '));
}

const quote = (value: string | number): string => (typeof value === 'number' ? `'${value}ms'` : value);

/** Two statements of one name: without support they meet on one server, or the first is not found on another one. */
async function losesStatements(first: DatabaseClient, second: DatabaseClient): Promise<boolean> {
  const name = `gatehouse_${randomUUID().slice(0, 8)}`;
  const ask = async (client: DatabaseClient, text: string): Promise<unknown> =>
    (await client.query<{ n: number }>({ name, text })).rows[0]?.n;
  try {
    for (let tried = 0; tried < 3; tried++) {
      if ((await ask(first, 'select 1 as n')) !== 1 || (await ask(second, 'select 2 as n')) !== 2) return true;
      await second.query('begin');
      const asked = ask(first, 'select 1 as n');
      const found = await Promise.race([asked, sleep(patience, undefined, { ref: false })]);
      await second.query('rollback');
      // With one connection to the server, the statement had to wait for the end of the transaction.
      if (found === undefined) return (await asked) !== 1;
      if (found !== 1) return true;
    }
    return false;
  } catch (error) {
    if (['26000', '42P05'].includes((error as { code?: string }).code ?? '')) return true;
    throw error;
  }
}

/** The names of our settings that are not in force. A shorter timeout of the role is. */
async function missingSettings(client: DatabaseClient, wanted: Connections['settings']): Promise<string[]> {
  const { rows } = await client.query<{ name: string; setting: string }>(
    `select name, case name when 'search_path' then current_schema() else setting end as setting
     from pg_settings where name = any($1)`,
    [Object.keys(wanted)],
  );
  const found = new Map(rows.map(({ name, setting }) => [name, setting]));
  return Object.entries(wanted)
    .filter(([name, value]) => {
      const setting = found.get(name);
      if (typeof value !== 'number') return setting !== value;
      return value > 0 && !(Number(setting) > 0 && Number(setting) <= value);
    })
    .map(([name]) => name);
}

async function requireSettings(connections: Connections): Promise<void> {
  if (connections.settingsBy === 'role') return;
  const client = await connections.open();
  const missing = await missingSettings(client, connections.settings).finally(() => void client.end());
  if (missing.length === 0) return;
  throw new UnfitDatabase(
    `the pooler that DATABASE_URL leads to drops settings of a connection (${missing.join(', ')}): connect to PostgreSQL itself.`,
  );
}
