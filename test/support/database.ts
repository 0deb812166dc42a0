import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { inject, onTestFinished } from 'vitest';
import { administer, giveBack, takeSpare } from './spare-databases.ts';

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

/** A database of the test's own, as empty as the migrated template. */
export async function createDatabase(): Promise<TestDatabase> {
  const host = inject('pgHost');
  // The suite runs a second time like this: the cheapest proof that the SQL would survive a stricter engine.
  const isolation = process.env.ISOLATION ?? '';
  const name = (await takeSpare(host, isolation)) ?? (await cloneTemplate(host, isolation));
  const client = new pg.Client({ host, user: 'postgres', database: name });
  client.on('error', () => {});
  await client.connect();
  await client.query(`set default_transaction_isolation = 'read committed'`);
  onTestFinished(() => giveBack(host, client, isolation, inject('template')));
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
      const all = (await tables()).map((table) => `select t::text as row from "${table}" t`).join(' union all ');
      return (await query<{ row: string }>(all)).map(({ row }) => row).join('\n');
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

async function cloneTemplate(host: string, isolation: string): Promise<string> {
  const name = `t_${randomUUID().replaceAll('-', '')}`;
  await administer(host, `create database ${name} template tpl strategy file_copy`);
  if (isolation) await administer(host, `alter database ${name} set default_transaction_isolation = '${isolation}'`);
  return name;
}
