import { setTimeout as sleep } from 'node:timers/promises';
import type { MikroORM } from '@mikro-orm/postgresql';
import pg from 'pg';
import { inject, onTestFinished } from 'vitest';
import type { DatabaseOptions } from '../../src/database/orm.ts';
import { takeDatabase } from './spare-databases.ts';

export interface TestDatabase {
  readonly name: string;
  readonly url: string;
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  /** An ORM for a replica of the test, with the connections of earlier tests. */
  lendOrm(options: DatabaseOptions): Promise<MikroORM>;
  /** Every row of every table as text, as an attacker with a dump would see it. */
  dump(): Promise<string>;
  /** One checksum per table. */
  checksums(): Promise<Record<string, string>>;
  /** Runs a statement in a transaction of another connection that stays open, with its locks, until the result is called. */
  hold(sql: string, values?: unknown[]): Promise<() => Promise<void>>;
  /** Resolves when so many connections to this database wait for a lock. */
  blocked(count: number): Promise<void>;
}

/** A database of the test's own, as empty as the migrated template. `isWarm` leaves the connections of earlier tests to it open. */
export async function createDatabase({ isWarm = false } = {}): Promise<TestDatabase> {
  // The suite runs a second time like this: the cheapest proof that the SQL would survive a stricter engine.
  const spare = await takeDatabase(inject('pgHost'), process.env.ISOLATION ?? '');
  onTestFinished(() => spare.giveBack());
  if (!isWarm) await spare.closeOrms();
  const { name, url, client } = spare;
  let last: Promise<unknown> = Promise.resolve();
  // One after the other: the client warns of a query that comes while another one runs.
  const query = async <Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> => {
    const result = last.then(() => client.query<Row>(text, values));
    last = result.catch(() => {});
    return (await result).rows;
  };
  const tables = async () =>
    (
      await query<{
        name: string;
      }>(`select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
          and not relispartition order by 1`)
    ).map((each) => each.name);
  return {
    name,
    url,
    query,
    lendOrm: (options) => spare.lendOrm(options),
    async dump() {
      const all = (await tables()).map((table) => `select t::text as row from "${table}" t`).join(' union all ');
      return (await query<{ row: string }>(all)).map(({ row }) => row).join('\n');
    },
    async checksums() {
      // Jobs go on by themselves, and change nothing that a call makes.
      const ofJobs = ['audit_seals', 'audit_unsealed', 'leases'];
      const watched = (await tables()).filter((each) => !ofJobs.includes(each));
      const sums = watched.map(
        (table) =>
          `select '${table}' as name, coalesce(md5(string_agg(t::text, '|' order by t::text)), '') as sum from "${table}" t`,
      );
      const rows = await query<{ name: string; sum: string }>(sums.join(' union all '));
      return Object.fromEntries(rows.map(({ name, sum }) => [name, sum]));
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
        if (Date.now() - since > 10_000) throw new Error(`${row!.waiting} wait for a lock, not ${count}`);
        await sleep(5);
      }
    },
  };
}
