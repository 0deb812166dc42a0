import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type EmbeddedPostgresOptions, startEmbeddedPostgres } from '../../src/database/embedded/postgres.ts';

export const root = mkdtempSync(path.join(tmpdir(), 'gatehouse-embedded-'));
export const template = path.join(root, 'template');
const apps = new Set<ChildProcess>();
let directories = 0;

/** A process runs several files, and each removes what it has made. */
export async function makeTemplate(): Promise<void> {
  mkdirSync(root, { recursive: true });
  chmodSync(root, 0o755); // it contains directories of ordinary users
  await using _ = await start(template);
}

export const newDirectory = () => path.join(root, `${++directories}-data`);

/** A directory with a cluster in it: initdb takes a second. */
export function usedDirectory(): string {
  const dir = newDirectory();
  execFileSync('cp', ['-a', template, dir]);
  return dir;
}

export async function start(dir: string, options: EmbeddedPostgresOptions = { fast: true }) {
  const database = await startEmbeddedPostgres(dir, options);
  return { ...database, [Symbol.asyncDispose]: database.stop };
}

export async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** A connection that the server may close. */
export async function connect(url: string): Promise<pg.Client & { processID: number }> {
  const client = new pg.Client(url) as pg.Client & { processID: number };
  client.on('error', () => {});
  await client.connect();
  return client;
}

export async function isUp(url: string): Promise<boolean> {
  return (await query(url, 'select 1 as one'))[0]?.one === 1;
}

interface AppOptions {
  asNobody?: boolean;
  /** The command that runs another one as a user. */
  user?: readonly string[];
  /** Code that runs before the database starts. */
  before?: string;
  options?: string;
}

export function asUser(uid: string, gid = uid, groups = '--clear-groups'): string[] {
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, groups];
}

/** A process that starts the database and then runs `body`. */
export function runApp(
  dir: string,
  body: string,
  {
    asNobody = false,
    user = asNobody ? asUser('nobody', 'nogroup') : [],
    before = '',
    options = '{ fast: true }',
  }: AppOptions = {},
) {
  const source = `
    import { environment } from ${JSON.stringify(import.meta.resolve('../../src/database/embedded/binaries.ts'))};
    import { startEmbeddedPostgres } from ${JSON.stringify(import.meta.resolve('../../src/database/embedded/postgres.ts'))};
    import pg from ${JSON.stringify(createRequire(import.meta.url).resolve('pg'))};
    try {
      ${before}
      const database = await startEmbeddedPostgres(process.argv[1], ${options});
      const client = new pg.Client(database.url('postgres'));
      await client.connect();
      client.on('error', () => {});
      console.log('ready');
      ${body}
    } catch (error) { console.log(error.name, error.reason, error.message); }`;
  const node = [process.execPath, '--input-type=module', '-e', source, dir];
  const [command, ...args] = [...user, ...node] as [string, ...string[]];
  const process_ = spawn(command, args, { detached: true, stdio: ['ignore', 'pipe', 'inherit'], cwd: '/' });
  apps.add(process_);
  const app = { process: process_, pid: process_.pid as number, output: '', ended: once(process_, 'close') };
  process_.stdout.on('data', (chunk) => (app.output += chunk));
  return app;
}

export type App = ReturnType<typeof runApp>;

export async function until(condition: () => boolean, describe = () => `${condition}`): Promise<void> {
  for (const end = performance.now() + 20_000; !condition(); await sleep(5))
    if (performance.now() > end) throw new Error(`waited in vain for ${describe()}`);
}

export const says = (app: App, word: string) =>
  until(
    () => app.output.includes(word),
    () => `"${word}", but: ${app.output}`,
  );

export const stay = 'setInterval(() => {}, 1000);';
export const postmasterOf = (dir: string) =>
  Number.parseInt(readFileSync(path.join(dir, 'postgres/postmaster.pid'), 'utf8'), 10);
export const processesOf = (dir: string) =>
  execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(dir));

/** Kills the processes that are left, and returns them. */
export async function cleanUp(): Promise<string[]> {
  for (const app of apps) app.kill('SIGKILL');
  await until(() => processesOf(root).length === 0).catch(() => {});
  const left = processesOf(root);
  rmSync(root, { recursive: true, force: true });
  return left;
}

/** Whether we are root and the user nobody can read the file. Prints a warning when only the second is missing. */
export function nobodyMayRead(file: string): boolean {
  if (process.getuid?.() !== 0) return false;
  const { status } = spawnSync('setpriv', ['--reuid=nobody', '--regid=nogroup', '--clear-groups', 'cat', file]);
  if (status !== 0) console.warn(`NOT TRIED: two users on one data directory, because nobody may not read ${file}`);
  return status === 0;
}
