import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { commandNames } from '../../src/cli/catalog.ts';
import { createDatabase } from '../support/database.ts';
import { ada, asService, bob, testEnv } from '../support/people.ts';
import { launch, newDataDir, run, serve } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer } from '../support/start.ts';

const { MASTER_KEYS } = testEnv;
const production = {
  NODE_ENV: 'production',
  PUBLIC_URL: 'https://auth.example.org',
  BIND_ADDRESS: '127.0.0.1',
  SHUTDOWN_DELAY: '0s',
  MAIL_MODE: 'off',
};

/** The processes on this directory, including those of the database. */
function processesOn(dir: string): string[] {
  const all = execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' }).split('\n');
  return all.filter((line) => line.includes(dir));
}

test('with the embedded database every acknowledged write survives any end of the process', {
  timeout: 60_000,
}, async () => {
  const dir = newDataDir();
  const env = { DATA_DIR: dir, AUTO_CONFIRM_EMAIL: 'on', SERVICE_KEYS: '' };
  const promises: { email: string; refreshToken: string }[] = [];
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGINT'] as const) {
    const service = await serve(env);
    expect(service.ready).toMatchObject({
      grpc: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      http: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      admin: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      database: 'embedded',
    });
    const { auth, sessions } = service.clients.json;
    for (const promised of promises) {
      expect((await auth.signIn({ email: promised.email, password: ada.password })).user!.email).toBe(promised.email);
      const { tokens } = await sessions.refresh({ refreshToken: promised.refreshToken });
      promised.refreshToken = tokens!.refreshToken;
      await service.clients.grpc.auth.getMe({}, bearer(tokens!));
    }
    const email = `before-${signal}@example.org`;
    const { tokens } = await auth.register({ email, password: ada.password });
    const refreshed = await sessions.refresh({ refreshToken: tokens!.refreshToken });
    promises.push({ email, refreshToken: refreshed.tokens!.refreshToken });
    const ended = await service.end(signal);
    expect(ended).toEqual(signal === 'SIGKILL' ? { code: null, signal } : { code: 0, signal: null });
    await expect.poll(() => processesOn(dir), { timeout: 10_000 }).toEqual([]);
    if (signal === 'SIGTERM') await interruptStart(env);
  }
});

/** Stopped during its start, it leaves no process behind. */
async function interruptStart(env: { DATA_DIR: string }): Promise<void> {
  const starting = launch(['serve'], env);
  await expect.poll(() => processesOn(env.DATA_DIR).length, { timeout: 10_000, interval: 50 }).toBeGreaterThan(1);
  await starting.end('SIGTERM');
  await expect.poll(() => processesOn(env.DATA_DIR), { timeout: 10_000 }).toEqual([]);
}

test('in development the ports are local, the secrets private, and the data directory in use by one process', async () => {
  const dir = newDataDir();
  const service = await serve({ DATA_DIR: dir, SERVICE_KEYS: '' });
  const read = (name: string) => readFileSync(path.join(dir, name), 'utf8').trim();
  for (const name of ['master-key', 'service-key'])
    expect(statSync(path.join(dir, name)).mode & 0o777, name).toBe(0o600);
  const headers = { authorization: `Bearer ${read('service-key')}` };
  await service.clients.grpc.admin.createUser(ada, { headers });
  const second = await run(['keys', 'rotate', '--force'], { DATA_DIR: dir });
  expect(second.code).toBe(1);
  expect(second.stderr).toMatch(/in use/i);
  expectSentence(second.stderr);
  await service.clients.grpc.admin.createUser(bob, { headers });
  await expectLoopback(service.ready);
  await service.end();
  const { stdout, stderr } = service.output;
  for (const secret of [read('master-key').split(':')[1]!, read('service-key')])
    expect(stdout + stderr).not.toContain(secret);
});

/** Other machines cannot connect. */
async function expectLoopback(ready: Record<'grpc' | 'http' | 'admin', string>): Promise<void> {
  const others = Object.values(networkInterfaces()).flatMap((each) => each!.filter(({ internal }) => !internal));
  for (const { address } of others.filter(({ family }) => family === 'IPv4'))
    for (const listening of [ready.grpc, ready.http, ready.admin])
      await expect(fetch(`http://${address}:${listening.split(':').at(-1)}/livez`)).rejects.toThrow('fetch failed');
}

/** A message for people, without a stack or the name of a class. */
function expectSentence(text: string): void {
  expect(text.trim()).not.toBe('');
  expect(text).not.toMatch(/^\s+at |node:internal|[A-Z]\w+Error:/m);
}

describe('the command line', () => {
  test('--help names every command, --version the version, and neither needs a configuration', async () => {
    const wrong = { NODE_ENV: 'production', GRPC_PORT: 'none' };
    const [help, version] = await Promise.all([run(['--help'], wrong), run(['--version'], wrong)]);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const command of commandNames) expect(help.stdout).toContain(`\n  ${command} `);
    expect(version).toMatchObject({ code: 0, stdout: `gatehouse ${packageJson.version}\n`, stderr: '' });
  });

  test('--help ends without a complaint when its reader has gone', async () => {
    const { stdout, ended, output } = launch(['--help']);
    stdout.destroy();
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(output.stderr).toBe('');
  });

  test('an unknown key is refused with a helpful sentence', async () => {
    const database = await createDatabase();
    const id = `-${'a'.repeat(42)}`;
    const refused = await run(['keys', 'revoke', id], { DATABASE_URL: database.url, MASTER_KEYS });
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toBe(`there is no key ${id}; name the key to revoke: npm start -- keys list shows them\n`);
  });

  test('migrate creates the tables', async () => {
    const database = await createDatabase();
    const env = { DATABASE_URL: database.url, MASTER_KEYS };
    await database.query('drop schema public cascade');
    await database.query('create schema public');
    const made = await run(['migrate'], env);
    expect(made).toMatchObject({ code: 0, stdout: 'the database is up to date\n', stderr: '' });
    expect(await database.query('select slug from projects')).toEqual([{ slug: 'default' }]);
  });

  test('keys lists, rotates and revokes the signing keys', async () => {
    const database = await createDatabase();
    const keys = async (...args: string[]) => {
      const { code, stdout, stderr } = await run(['keys', ...args], { DATABASE_URL: database.url, MASTER_KEYS });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      return stdout
        .trim()
        .split('\n')
        .map((line) => line.split(/ {2,}/) as [id: string, state: string]);
    };
    const [active, standby] = (await keys()).map(([id]) => id!);
    const rotated = await keys('rotate', '--force');
    expect(rotated.map(([, state]) => state).sort()).toEqual(['active', 'retired', 'standby']);
    expect(Object.fromEntries(rotated)).toMatchObject({ [active!]: 'retired', [standby!]: 'active' });
    expect(Object.fromEntries(await keys('revoke', active!))).toMatchObject({
      [active!]: 'revoked',
      [standby!]: 'active',
    });
  });
});

test('keys import puts a key on standby, from a file, and names a fault without the key', async () => {
  const database = await createDatabase();
  const env = { DATABASE_URL: database.url, MASTER_KEYS };
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = privateKey.export({ format: 'jwk' });
  const kid = '5f3a1c1e-8f4b-4c59-9d43-0f6b8b1a2c3d';
  const file = path.join(newDataDir(), 'key.json');
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify({ ...jwk, kid }));
  const { code, stdout } = await run(['keys', 'import', file], env);
  expect([code, new RegExp(`^${kid} +standby +ES256`, 'm').test(stdout)]).toEqual([0, true]);
  writeFileSync(file, JSON.stringify({ ...jwk, alg: 'RS256' }));
  const refused = await run(['keys', 'import', file], env);
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toBe(`${file} cannot be imported: a key for another algorithm than ES256\n`);
  expect(refused.stderr).not.toContain(jwk.d);
  const [event] = await database.query('select action, entity_id from audit_events order by id desc limit 1');
  expect(event).toEqual({ action: 'key.import', entity_id: kid });
});

describe('an invalid configuration', () => {
  test('is refused with all its faults together, no part of a secret, and exit code 78', async () => {
    const secret = 'hunter2-hunter2';
    const faulty = { GRPC_PORT: 'none', SHUTDOWN_GRACE: 'soon', MASTER_KEYS: secret, PASSWORD_PEPPER: secret };
    const { code, stdout, stderr } = await run([], { ...faulty, DATABASE_URL: 'mysql://u:hunter2@db/x' });
    expect({ code, stdout }).toEqual({ code: 78, stdout: '' });
    for (const name of [...Object.keys(faulty), 'DATABASE_URL']) expect(stderr).toContain(name);
    expect(stderr).not.toContain('hunter2');
    expectSentence(stderr);
  });

  test('in production missing and weak keys are reported before anything is started', async () => {
    const dir = newDataDir();
    const production = { NODE_ENV: 'production', DATA_DIR: dir, PASSWORD_HASH_COST: '' };
    const missing = await run(['serve'], { ...production, PUBLIC_URL: '' });
    const guessable = Buffer.from('changeme'.repeat(4)).toString('base64');
    const changeme = createHash('sha256').update('changeme').digest('hex');
    const weak = { MASTER_KEYS: `a:${guessable}`, SERVICE_KEYS: `a:${changeme}`, PASSWORD_HASH_COST: 'm=64,t=1,p=1' };
    for (const [{ code, stderr, stdout }, names] of [
      [missing, ['MASTER_KEYS', 'PUBLIC_URL']],
      [await run(['serve'], { ...production, ...weak }), Object.keys(weak)],
    ] as const) {
      expect({ code, stdout }).toEqual({ code: 78, stdout: '' });
      for (const name of names) expect(JSON.parse(stderr).msg).toContain(`\n${name}\n`);
    }
    expect(() => statSync(dir)).toThrow('ENOENT');
  });
});

describe('with an external database', () => {
  test('a new installation has no users, no sessions and no predictable keys', async () => {
    const database = await createDatabase();
    const env = { DATABASE_URL: database.url, MASTER_KEYS, SERVICE_KEYS: '', PASSWORD_HASH_COST: '' };
    const { clients } = await serve({ ...env, ...production });
    const counts = await database.query(
      `select (select count(*)::int from users) as users, (select count(*)::int from sessions) as sessions,
         (select count(*)::int from projects) as projects, (select count(*)::int from signing_keys) as keys`,
    );
    expect(counts).toEqual([{ users: 0, sessions: 0, projects: 1, keys: 2 }]);
    expect((await refusalOf(clients.grpc.admin.createUser(ada, asService))).reason).toBe('TOKEN_INVALID');
    for (const bad of ['', 'changeme', ada.password])
      expect(
        (await refusalOf(clients.json.auth.signIn({ email: 'admin@example.org', password: bad || ' ' }))).reason,
      ).toBe('INVALID_CREDENTIALS');
  });

  test('the service waits for a database that starts later', async () => {
    const database = await createDatabase();
    const proxy = await startProxy();
    await proxy.refuse();
    const starting = launch(['serve'], { DATABASE_URL: proxy.url(database), MASTER_KEYS });
    const waiting = () =>
      starting
        .log()
        .filter(({ postgres }) => /^waiting for the database \(\d+ of 30\): ECONNREFUSED$/.test(`${postgres}`));
    await expect.poll(() => waiting().length, { timeout: 10_000 }).toBeGreaterThan(1);
    await proxy.accept();
    await starting.says('ready');
    expect((await starting.end()).code).toBe(0);
  });

  test('a port in use is named in the error message', async () => {
    const database = await createDatabase();
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const port = `${(taken.address() as { port: number }).port}`;
    const refused = async (name: string) => {
      const { code, stderr } = await run(['serve'], { DATABASE_URL: database.url, MASTER_KEYS, [name]: port });
      expect(code, name).toBe(1);
      expect(stderr).toContain(`${name}: EADDRINUSE, another process listens on 127.0.0.1:${port}: `);
      expect(stderr).toContain('EADDRINUSE');
      expect(stderr).toContain(port);
      expectSentence(stderr);
    };
    await Promise.all(['GRPC_PORT', 'HTTP_PORT', 'ADMIN_PORT'].map(refused));
    taken.close();
  });
});
