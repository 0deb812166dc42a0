import { randomUUID } from 'node:crypto';
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
}

/** A database of the test's own, cloned from the migrated template and dropped when the test has finished. */
export async function createDatabase(): Promise<TestDatabase> {
  const host = inject('pgHost');
  const name = `t_${randomUUID().replaceAll('-', '')}`;
  await administer(host, `create database ${name} template tpl strategy file_copy`);
  // The whole suite runs a second time like this: the cheapest proof that the SQL would survive a stricter engine.
  if (process.env['ISOLATION'])
    await administer(host, `alter database ${name} set default_transaction_isolation = '${process.env['ISOLATION']}'`);
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
    (await query<{ name: string }>(`select tablename as name from pg_tables where schemaname = 'public' order by 1`)).map(
      (each) => each.name,
    );
  return {
    name,
    url: `postgresql://postgres@${encodeURIComponent(host)}:5432/${name}`,
    query,
    async dump() {
      const parts = (await tables()).map((table) => query<{ row: string }>(`select t::text as row from "${table}" t`));
      return (await Promise.all(parts)).flatMap((rows) => rows.map(({ row }) => row)).join('\n');
    },
    async checksums() {
      const sums = (await tables()).map(async (table) => {
        const [row] = await query<{ sum: string }>(
          `select coalesce(md5(string_agg(t::text, '|' order by t::text)), '') as sum from "${table}" t`,
        );
        return [table, row!.sum] as const;
      });
      return Object.fromEntries(await Promise.all(sums));
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
