import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/database/embedded/postgres.ts';
import { migrate } from '../../src/database/migrate.ts';
import { openOrm } from '../../src/database/orm.ts';
import { choosePassword } from './cluster-password.ts';

export type Cluster = Awaited<ReturnType<typeof startCluster>>;

/**
 * A PostgreSQL for one test file, which may be stopped and killed. Its commits are durable, as in production. Its
 * address stays the same after a restart.
 */
export async function startCluster() {
  const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-cluster-'));
  choosePassword(dir);
  const launch = () => startEmbeddedPostgres(dir, { maxConnections: 100 });
  let running = await launch();
  const { url } = running;
  const cluster = {
    url,
    /** PostgreSQL's own directory. */
    data: path.join(dir, 'postgres'),
    get socketDir() {
      return running.socketDir;
    },
    get pid() {
      return Number.parseInt(readFileSync(path.join(dir, 'postgres/postmaster.pid'), 'utf8'), 10);
    },
    /** Over a new connection. */
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
    /** The fast shutdown: PostgreSQL ends all connections. */
    stop: () => running.stop(),
    /** Kills the postmaster, as the kernel does when memory runs out. The next start recovers commits from the WAL. */
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
