import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { inject, onTestFinished } from 'vitest';

export interface TestDatabase {
  readonly name: string;
  readonly url: string;
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  /** Every row of every table as text, as an attacker with a dump would see it. */
  dump(): Promise<string>;
  /** One checksum per table. */
  checksums(): Promise<Record<string, string>>;
  /** Runs a statement in a transaction of another connection that stays open, with its locks, until the result is called. */
  hold(sql: string, values?: unknown[]): Promise<() => Promise<void>>;
  /** Resolves when so many connections to this database wait for a lock. */
  blocked(count: number): Promise<void>;
}

/** A database of the test's own, cloned from the migrated template and dropped when the test has finished. */
export async function createDatabase(): Promise<TestDatabase> {
  const host = inject('pgHost');
  const name = `t_${randomUUID().replaceAll('-', '')}`;
  await administer(host, `create database ${name} template tpl strategy file_copy`);
  // The whole suite runs a second time like this: the cheapest proof that the SQL would survive a stricter engine.
  if (process.env.ISOLATION)
    await administer(host, `alter database ${name} set default_transaction_isolation = '${process.env.ISOLATION}'`);
  const client = new pg.Client({ host, user: 'postgres', database: name });
  client.on('error', () => {});
  await client.connect();
  await client.query(`set default_transaction_isolation = 'read committed'`);
  onTestFinished(async () => {
    await client.end();
    await administer(host, `drop database if exists ${name} with (force)`);
  });
  const query = async <Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> =>
    (await client.query<Row>(text, values)).rows;
  const tables = async () =>
    (
      await query<{
        name: string;
      }>(`select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
          and not relispartition order by 1`)
    ).map((each) => each.name);
  const url = `postgresql://postgres@${encodeURIComponent(host)}:5432/${name}`;
  return {
    name,
    url,
    query,
    async dump() {
      const rows: string[] = [];
      for (const table of await tables())
        rows.push(...(await query<{ row: string }>(`select t::text as row from "${table}" t`)).map(({ row }) => row));
      return rows.join('\n');
    },
    async checksums() {
      const sums: Record<string, string> = {};
      for (const table of await tables()) {
        // Sealing goes on by itself, and is no change that a call makes.
        if (table === 'audit_seals' || table === 'audit_unsealed') continue;
        const [row] = await query<{ sum: string }>(
          `select coalesce(md5(string_agg(t::text, '|' order by t::text)), '') as sum from "${table}" t`,
        );
        sums[table] = row!.sum;
      }
      return sums;
    },
    async hold(sql, values) {
      const holder = new pg.Client({ connectionString: url });
      holder.on('error', () => {});
      await holder.connect();
      await holder.query('begin');
      await holder.query(sql, values);
      return async () => {
        await holder.query('commit');
        await holder.end();
      };
    },
    async blocked(count) {
      const since = Date.now();
      for (;;) {
        const [row] = await query<{ waiting: number }>(
          `select count(*)::int as waiting from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'`,
          [name],
        );
        if (row!.waiting >= count) return;
        if (Date.now() - since > 2000) throw new Error(`${row!.waiting} wait for a lock, not ${count}`);
        await sleep(5);
      }
    },
  };
}

async function administer(host: string, sql: string): Promise<void> {
  const admin = new pg.Client({ host, user: 'postgres', database: 'postgres' });
  await admin.connect();
  try {
    await admin.query(sql);
  } finally {
    await admin.end();
  }
}
