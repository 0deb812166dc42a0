import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { findBinaries, packageOf } from '../../src/database/embedded/binaries.ts';
import { createLauncher } from '../../src/database/embedded/launcher.ts';
import {
  asUser,
  cleanUp,
  makeTemplate,
  newDirectory,
  nobodyMayRead,
  postmasterOf,
  query,
  runApp,
  start,
  usedDirectory,
} from './embedded-fixtures.ts';

const isRoot = process.getuid?.() === 0;
const passwordOf = (dir: string) => readFileSync(path.join(dir, 'postgres-password'), 'utf8').trim();
const modeOf = (...file: string[]) => statSync(path.join(...file)).mode & 0o7777;
const run = (command: string, ...args: string[]) => execFileSync(command, args, { encoding: 'utf8' });

/** The lines of /proc/PID/status by their names. */
const statusOf = (pid: number) =>
  Object.fromEntries(
    readFileSync(`/proc/${pid}/status`, 'utf8')
      .split('\n')
      .map((line) => line.split(/:\s*/) as [string, string]),
  );

/** What the fsGroup of Kubernetes does to a volume. */
function applyGroup(dir: string, gid: number): void {
  run('chgrp', '-R', `${gid}`, dir);
  run('chmod', '-R', 'g+rwX', dir);
  run('find', dir, '-type', 'd', '-exec', 'chmod', 'g+s', '{}', '+');
}

beforeAll(makeTemplate);

afterAll(async () => {
  expect(await cleanUp()).toEqual([]);
});

test('the embedded database asks for a password, which only its user can read', async () => {
  const dir = usedDirectory();
  await using database = await start(dir);
  const url = database.url('postgres');
  expect(new URL(url.replace(/@.*/, '@host')).password).toBe(passwordOf(dir));
  expect(passwordOf(dir)).toMatch(/^[\w-]{43}$/);
  expect(modeOf(dir, 'postgres-password')).toBe(0o600);
  expect(await query(url, 'select distinct type, auth_method from pg_hba_file_rules')).toEqual([
    { type: 'local', auth_method: 'scram-sha-256' },
  ]);
  for (const password of ['', `:${'x'.repeat(43)}`])
    await expect(query(url.replace(/:[\w-]{43}@/, `${password}@`), 'select 1')).rejects.toThrow(/password/);
});

test('a cluster that trusted its connections gets a password at the next start, and so does a copy without its password', async () => {
  const dir = usedDirectory();
  {
    await using database = await start(dir);
    await query(database.url('postgres'), 'create table kept as select 1 as id');
  }
  const earlier = passwordOf(dir);
  for (const lose of [
    () => writeFileSync(path.join(dir, 'postgres/pg_hba.conf'), 'local all all trust\n'),
    () => rmSync(path.join(dir, 'postgres-password')),
    () => chmodSync(path.join(dir, 'postgres-password'), 0o644),
  ]) {
    lose();
    await using database = await start(dir);
    expect(await query(database.url('postgres'), 'select * from kept')).toEqual([{ id: 1 }]);
    await expect(query(database.url('postgres').replace(/:[\w-]{43}@/, '@'), 'select 1')).rejects.toThrow(/password/);
  }
  expect(passwordOf(dir)).not.toBe(earlier);
});

describe.runIf(isRoot)('started by root, the embedded database', () => {
  test('runs as a user of its own without groups and capabilities, which can read no secret', async () => {
    const dir = usedDirectory();
    writeFileSync(path.join(dir, 'master-key'), 'secret', { mode: 0o600 });
    await using database = await start(dir);
    const { uid } = statSync(path.join(dir, 'postgres'));
    expect(readFileSync('/etc/passwd', 'utf8')).not.toContain(`:${uid}:`);
    const status = statusOf(postmasterOf(dir));
    expect(status).toMatchObject({ Groups: '', NoNewPrivs: '1', Uid: [uid, uid, uid, uid].join('\t') });
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      expect(status[set], set).toBe('0000000000000000');
    for (const file of ['/etc/shadow', path.join(dir, 'master-key'), path.join(dir, 'postgres-password')])
      await expect(query(database.url('postgres'), `select pg_read_file('${file}')`), file).rejects.toThrow(
        'Permission denied',
      );
    const open = run('find', path.join(dir, 'postgres'), '-perm', '/077');
    expect(open).toBe('');
  });

  test('starts where its user can enter neither the data directory nor that of the programs', async () => {
    const closed = newDirectory();
    mkdirSync(closed, { mode: 0o700 });
    const earlier = new Set(readdirSync('/var/cache'));
    onTestFinished(() => {
      for (const name of readdirSync('/var/cache').filter((each) => !earlier.has(each)))
        rmSync(path.join('/var/cache', name), { recursive: true });
    });
    const copied = path.join(closed, 'package');
    run('cp', '-r', packageOf(await findBinaries()), copied);
    run('chmod', '-R', 'go-rwx', copied);
    const program = (name: string) => path.join(copied, 'native/bin', name);
    const directory = { root: closed, cluster: path.join(closed, 'postgres') };
    const version = async () => {
      const launcher = createLauncher({ initdb: program('initdb'), postgres: program('postgres') }, directory);
      mkdirSync(directory.cluster, { recursive: true });
      const lines: string[] = [];
      const code = await launcher.initialize(directory.cluster, ['--no-sync'], (line) => lines.push(line));
      expect(code, lines.join('\n')).toBe(0);
      rmSync(directory.cluster, { recursive: true });
      return readdirSync('/var/cache').filter((each) => !earlier.has(each));
    };
    const copies = await version();
    expect(copies).toHaveLength(1);
    expect(run('find', path.join('/var/cache', copies[0]!), '!', '-uid', '0')).toBe('');
    const { ino } = statSync(path.join('/var/cache', copies[0]!));
    expect(await version()).toEqual(copies);
    expect(statSync(path.join('/var/cache', copies[0]!)).ino).toBe(ino);
  });

  test('takes over a cluster of nobody or root, but not with a second name of a file of others', async () => {
    const dir = usedDirectory();
    const cluster = path.join(dir, 'postgres');
    for (const uid of ['nobody', 'root']) {
      run('chown', '-R', uid, cluster);
      await using database = await start(dir);
      expect(await query(database.url('postgres'), 'select 1 as one')).toEqual([{ one: 1 }]);
      expect(statusOf(postmasterOf(dir)).CapEff).toBe('0000000000000000');
      const { uid: owner } = statSync(cluster);
      expect(run('find', cluster, '!', '-uid', `${owner}`)).toBe('');
      expect(run('id', '-u', 'nobody').trim()).not.toBe(`${owner}`);
    }
    const foreign = `${dir}-foreign`;
    writeFileSync(foreign, 'secret', { mode: 0o600 });
    linkSync(foreign, path.join(cluster, 'pg_xact/link'));
    symlinkSync(foreign, path.join(cluster, 'base/link'));
    run('chown', 'nobody', cluster);
    await expect(start(dir)).rejects.toMatchObject({
      reason: 'NO_ACCESS',
      message: expect.stringContaining('hard link'),
    });
    rmSync(path.join(cluster, 'pg_xact/link'));
    await using _ = await start(dir);
    expect(statSync(foreign).uid).toBe(0);
  });

  test('starts after the fsGroup of Kubernetes has opened its directory to a group', async () => {
    const dir = usedDirectory();
    const earlier = passwordOf(dir);
    applyGroup(dir, 2000);
    await using database = await start(dir);
    expect(await query(database.url('postgres'), 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(modeOf(dir, 'postgres')).toBe(0o700);
    expect(modeOf(dir, 'postgres-password')).toBe(0o600);
    expect(passwordOf(dir)).not.toBe(earlier);
    expect(statusOf(postmasterOf(dir))).toMatchObject({ Groups: '', Gid: expect.not.stringContaining('2000') });
  });
});

// These need root, and a checkout that another user may read.
describe.runIf(nobodyMayRead(import.meta.filename))('started by an ordinary user, the embedded database', () => {
  const once = 'await client.end(); await database.stop();';

  test('starts on a volume with an fsGroup, and names the owner of a cluster that is not its own', async () => {
    const dir = newDirectory();
    mkdirSync(dir);
    const user = asUser('nobody', 'nogroup', '--groups=2000');
    for (const _ of ['new', 'used']) {
      applyGroup(dir, 2000);
      const app = runApp(dir, once, { user });
      await app.ended;
      expect(app.output).toBe('ready\n');
    }
    const other = runApp(dir, once, { user: asUser('12346', '12346', '--groups=2000') });
    await other.ended;
    expect(other.output).toMatch(/NO_ACCESS user 12346 may not use .* belongs to user \d+: run `chown -R 12346 /);
  });

  test('starts under a uid without a name, or says what gives it one', async () => {
    const dir = newDirectory();
    mkdirSync(dir);
    run('chown', '12345:12345', dir);
    const user = asUser('12345');
    const tools = path.join(dir, 'tools');
    mkdirSync(tools);
    symlinkSync(run('sh', '-c', 'command -v flock').trim(), path.join(tools, 'flock'));
    // Many containers forbid user namespaces; here the command for them is missing.
    const refused = runApp(dir, once, { user, before: `environment.PATH = ${JSON.stringify(tools)};` });
    await refused.ended;
    expect(refused.output).toMatch(/NO_ACCESS .* refuses user 12345, .*`useradd --uid 12345 gatehouse`.*DATABASE_URL/);
    if (spawnSync('unshare', ['--user', 'true']).status !== 0)
      return console.warn('NOT TRIED: initdb under a uid without a name, because user namespaces are forbidden');
    const app = runApp(dir, once, { user });
    await app.ended;
    expect(app.output).toBe('ready\n');
    expect(run('find', path.join(dir, 'postgres'), '!', '-uid', '12345')).toBe('');
    const again = runApp(dir, once, { user, before: `environment.PATH = ${JSON.stringify(tools)};` });
    await again.ended;
    expect(again.output).toBe('ready\n');
  });
});
