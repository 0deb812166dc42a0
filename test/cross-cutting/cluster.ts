import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/database/embedded/postgres.ts';
import { migrate, openOrm } from '../../src/database/orm.ts';

export type Cluster = Awaited<ReturnType<typeof startCluster>>;

/**
 * A PostgreSQL of a test file's own, which may be stopped and killed. It honours its commits, as a real one does. Its
 * address stays the same from one start to the next.
 */
export async function startCluster() {
  const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-cluster-'));
  const launch = () => startEmbeddedPostgres(dir, { maxConnections: 100 });
  let running = await launch();
  const { url } = running;
  const cluster = {
    url,
    get pid() {
      return Number.parseInt(readFileSync(path.join(dir, 'postgres/postmaster.pid'), 'utf8'), 10);
    },
    /** Over a connection of its own. */
    async query<Row extends pg.QueryResultRow>(database: string, text: string, values: unknown[] = []): Promise<Row[]> {
      const client = new pg.Client({ connectionString: url(database) });
      await client.connect();
      try {
        return (await client.query<Row>(text, values)).rows;
      } finally {
        await client.end();
      }
    },
    /** Runs a statement in a transaction that stays open, with its locks, until the result is called. */
    async hold(database: string, text: string) {
      const client = new pg.Client({ connectionString: url(database) });
      client.on('error', () => {});
      await client.connect();
      await client.query('begin');
      await client.query(text);
      return () => client.end();
    },
    /** A new database with our tables in it. */
    async createDatabase(): Promise<string> {
      const name = `t_${randomUUID().replaceAll('-', '')}`;
      await cluster.query('postgres', `create database ${name}`);
      const orm = await openOrm(url(name));
      await migrate(orm).finally(() => orm.close(true));
      return name;
    },
    /** The fast shutdown: whoever is connected is thrown out. */
    stop: () => running.stop(),
    /** Kills the postmaster, as the kernel does when memory runs out. What was committed is found in the log of writes. */
    async kill() {
      process.kill(cluster.pid, 'SIGKILL');
      await running.stop();
    },
    async start() {
      running = await launch();
    },
    async remove() {
      await running.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return cluster;
}
