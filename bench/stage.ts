import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../src/database/embedded/postgres.ts';
import { migrate } from '../src/database/migrate.ts';
import { openOrm } from '../src/database/orm.ts';
import { type Child, cpuOf, startChild } from './processes.ts';
import { masterKey, seed, serviceKey } from './seed.ts';

export const hashCost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** The service as it runs in production, on a real PostgreSQL with fsync on, both on this machine. */
export interface Stage {
  readonly grpc: string;
  readonly http: string;
  readonly app: Child;
  readonly database: pg.Client;
  /** Of the database. */
  readonly url: string;
  /** The settings of a process on this database. */
  readonly settings: Readonly<Record<string, string>>;
  /** Seconds of CPU so far. */
  cpu(app?: Child): { app: number; database: number };
  /** Another replica on the same database. */
  startApp(env: Record<string, string>, entry?: string): Promise<Child>;
  close(): Promise<void>;
}

export async function openStage(sessions: number, env: Record<string, string> = {}): Promise<Stage> {
  const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-bench-'));
  const cluster = await startEmbeddedPostgres(dir);
  const url = cluster.url('postgres');
  const orm = await openOrm(url);
  await migrate(orm).finally(() => orm.close(true));
  const database = new pg.Client({ connectionString: url });
  await database.connect();
  await seed(database, sessions, hashCost);
  const app = await startApp(url, env);
  const postmaster = Number(readFileSync(path.join(dir, 'postgres/postmaster.pid'), 'utf8').split('\n', 1)[0]);
  return {
    grpc: app.ready,
    http: app.readyToo,
    app,
    database,
    url,
    settings: settingsFor(url, env),
    cpu: (of = app) => ({ app: cpuOf(of.pid, true), database: cpuOf(postmaster, true) }),
    startApp: (more, entry) => startApp(url, { ...env, ...more }, entry),
    async close() {
      await app.stop();
      await database.end();
      await cluster.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** The flags of `npm start`. */
export const flags = ['--max-semi-space-size=16', '--no-allocation-site-pretenuring'];

function startApp(url: string, env: Record<string, string>, entry = 'src/main.ts'): Promise<Child> {
  return startChild([...flags, entry], settingsFor(url, env), /"grpc":"([^"]+)","http":"http:\/\/([^"]+)".*"ready"/);
}

export function settingsFor(url: string, env: Record<string, string>): Record<string, string> {
  return {
    NODE_ENV: 'production',
    BIND_ADDRESS: '127.0.0.1',
    PUBLIC_URL: 'https://bench.example.org',
    MAIL_MODE: 'off',
    // With it, sign-in must not reveal registered addresses; the timing of that is measured.
    HIDE_REGISTRATION: 'on',
    DATABASE_URL: url,
    GRPC_PORT: '0',
    HTTP_PORT: '0',
    ADMIN_PORT: '0',
    SHUTDOWN_DELAY: '0',
    MASTER_KEYS: `bench:${masterKey.toString('base64')}`,
    SERVICE_KEYS: `bench:${createHash('sha256').update(serviceKey).digest('hex')}`,
    // Limits are on, but out of reach: the machine is one address, and sessions refresh more often than those of people.
    LIMITS: '*=1000000,SessionService.Refresh:session=1000000',
    QUOTA_ANONYMOUS: '1000000000',
    ...env,
  };
}
