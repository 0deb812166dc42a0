import { createHash } from 'node:crypto';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService, testEnv } from '../support/people.ts';
import { run } from '../support/process.ts';
import { refusalOf } from '../support/refusal.ts';
import { startReplica } from '../support/replica.ts';
import { Scrape } from '../support/scrape.ts';
import { bearer, start, wires } from '../support/start.ts';

const keyMadeOf = (words: string) => createHash('sha256').update(words).digest('base64');
const cellar = `cellar:${keyMadeOf('a pepper')}`;
const attic = `attic:${keyMadeOf('another pepper')}`;

const installation = (database: TestDatabase, args: string[], env: Record<string, string> = {}) =>
  run(['installation', ...args], { DATABASE_URL: database.url, MASTER_KEYS: testEnv.MASTER_KEYS, ...env });

const issuerOf = (accessToken: string) =>
  JSON.parse(Buffer.from(accessToken.split('.')[1]!, 'base64url').toString()).iss as string;

describe('a replica does not start without its PASSWORD_PEPPER', () => {
  test.each([
    ['lacks it', {}, /^PASSWORD_PEPPER lacks the key 'cellar'.*npm start -- installation drop PASSWORD_PEPPER cellar/],
    ['has another one', { PASSWORD_PEPPER: attic }, /^PASSWORD_PEPPER lacks the key 'cellar'/],
    [
      'has another key under its id',
      { PASSWORD_PEPPER: attic.replace('attic', 'cellar') },
      /^the key 'cellar' of PASSWORD_PEPPER is not the key of that id/,
    ],
  ])('when it %s', async (_, env, sentence) => {
    const { database } = await start({ env: { PASSWORD_PEPPER: cellar } });
    await expect(startReplica(database, env as Record<string, string>)).rejects.toThrow(sentence);
    await startReplica(database, { PASSWORD_PEPPER: cellar });
  });
});

test.each(['1', '2'])('with WORKERS=%s a refused start ends with the sentence', async (WORKERS) => {
  const { database } = await start({ env: { PASSWORD_PEPPER: cellar } });
  const { MASTER_KEYS } = testEnv;
  const { code, stderr, stdout } = await run(['serve'], { DATABASE_URL: database.url, MASTER_KEYS, WORKERS });
  expect(code).toBe(1);
  expect(stderr + stdout).toContain(`PASSWORD_PEPPER lacks the key 'cellar' that this database was written with`);
  expect(stdout).not.toContain('"msg":"ready"');
});

test('with a new pepper before the old one passwords still match, and their hashes get the new one', async () => {
  const service = await start();
  const pepperOf = async () => {
    const [row] = await service.database.query<{ hash: string }>(
      'select password_hash as hash from users where email = $1',
      [ada.email],
    );
    return Buffer.from(/,keyid=([^$]+)/.exec(row!.hash)?.[1] ?? '', 'base64').toString();
  };
  await service.welcome();
  expect(await pepperOf()).toBe('');
  const peppered = await startReplica(service.database, { PASSWORD_PEPPER: cellar });
  await peppered.auth.signIn(ada);
  expect(await pepperOf()).toBe('cellar');
  const both = await startReplica(service.database, { PASSWORD_PEPPER: `${attic},${cellar}` });
  await both.auth.signIn(ada);
  expect(await pepperOf()).toBe('attic');
  await both.auth.signIn(ada);
});

test('a replica does not start without a master key that others have', async () => {
  const { database } = await start();
  const next = `next:${keyMadeOf('next')}`;
  await startReplica(database, { MASTER_KEYS: `${next},${testEnv.MASTER_KEYS}` });
  await expect(startReplica(database)).rejects.toThrow(
    /^MASTER_KEYS lacks the key 'next'.*npm start -- installation drop MASTER_KEYS next/,
  );
  await startReplica(database, { MASTER_KEYS: `${testEnv.MASTER_KEYS},${next}` });
});

test('replicas with different PUBLIC_URLs do not start on one database, even at once', async () => {
  const database = await createDatabase();
  const urls = ['https://auth.example.org', 'https://auth.example.com'];
  const starts = await Promise.allSettled(
    Array.from({ length: 8 }, (_, i) => startReplica(database, { PUBLIC_URL: urls[i % 2]!, DATABASE_POOL_SIZE: '2' })),
  );
  const refused = starts.filter((each) => each.status === 'rejected');
  expect(refused).toHaveLength(4);
  const [{ issuer }] = (await database.query('select issuer from installation')) as [{ issuer: string }];
  for (const { reason } of refused)
    expect(String(reason)).toMatch(
      new RegExp(`PUBLIC_URL leads to the issuer .* have ${issuer};.*npm start -- installation drop PUBLIC_URL`),
    );
  await startReplica(database, { PUBLIC_URL: `${issuer.replace('/auth/v1', '').replace('auth.', 'AUTH.')}:443/` });
});

test('without PUBLIC_URL a replica issues and accepts tokens with the recorded issuer', async () => {
  const service = await start();
  const { tokens } = await service.welcome();
  const lines: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) });
  const other = await startReplica(service.database, { PUBLIC_URL: '', HTTP_PORT: '0' }, log);
  await other.auth.getMe({}, bearer(tokens));
  const { tokens: theirs } = await other.auth.signIn(ada);
  expect(issuerOf(theirs!.accessToken)).toBe('http://gatehouse.test/auth/v1');
  await service.clients('json').auth.getMe({}, bearer(theirs!));
  expect(lines.join()).toContain('PUBLIC_URL is not set: access tokens have the issuer that the database has');
});

describe('the command installation', () => {
  test('lists the keys and the issuer, and drops them on purpose', async () => {
    const { database, welcome } = await start({ env: { PASSWORD_PEPPER: cellar } });
    await welcome();
    expect(await installation(database, [])).toMatchObject({
      code: 0,
      stderr: '',
      stdout:
        'MASTER_KEYS  test\nPASSWORD_PEPPER  cellar  password hashes of 1 user\nPUBLIC_URL  http://gatehouse.test/auth/v1\n',
    });
    const dropped = await installation(database, ['drop', 'PASSWORD_PEPPER', 'cellar']);
    expect(dropped.stdout).toContain('PASSWORD_PEPPER  cellar  dropped  password hashes of 1 user\n');
    await installation(database, ['drop', 'PUBLIC_URL']);
    await startReplica(database, { PUBLIC_URL: 'https://auth.example.org' });
    const { stdout } = await installation(database, ['list']);
    expect(stdout).toContain('PUBLIC_URL  https://auth.example.org/auth/v1\n');
    const foreign = startReplica(database, {
      PASSWORD_PEPPER: attic.replace('attic', 'cellar'),
      PUBLIC_URL: 'https://auth.example.org',
    });
    await expect(foreign, 'a dropped id never gets another key').rejects.toThrow(/is not the key of that id/);
    const trail = await database.query(`select actor_id from audit_events where action = 'installation.drop'`);
    expect(trail).toHaveLength(2);
  });

  test('a key that is configured again is needed again', async () => {
    const { database } = await start({ env: { PASSWORD_PEPPER: cellar } });
    await installation(database, ['drop', 'PASSWORD_PEPPER', 'cellar']);
    await startReplica(database);
    await startReplica(database, { PASSWORD_PEPPER: cellar });
    await expect(startReplica(database)).rejects.toThrow(/^PASSWORD_PEPPER lacks the key 'cellar'/);
  });

  test('drops a lost master key, after which the service has new signing keys and older access tokens verify', async () => {
    const service = await start();
    const { tokens } = await service.welcome();
    const MASTER_KEYS = `next:${keyMadeOf('next')}`;
    await expect(startReplica(service.database, { MASTER_KEYS })).rejects.toThrow(/^MASTER_KEYS lacks the key 'test'/);
    const { code } = await installation(service.database, ['drop', 'MASTER_KEYS', 'test'], { MASTER_KEYS });
    expect(code).toBe(0);
    const { auth, sessions, admin } = await startReplica(service.database, { MASTER_KEYS });
    await auth.getMe({}, bearer(tokens));
    expect((await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }))).reason).toBe(
      'REFRESH_TOKEN_INVALID',
    );
    await auth.signIn(ada);
    const { keys } = await admin.listSigningKeys({}, asService);
    expect(keys).toHaveLength(4);
  });

  test.each([
    [['drop', 'MASTER_KEYS', 'test'], `MASTER_KEYS still has the key 'test'`],
    [['drop', 'MASTER_KEYS', 'tset'], `this database knows no key 'tset' of MASTER_KEYS; it knows: test`],
    [['drop', 'PASSWORD_PEPPER', 'cellar'], `this database knows no key 'cellar' of PASSWORD_PEPPER; it knows: none`],
  ])('%j is refused with a sentence', async (args, sentence) => {
    const { database } = await start();
    const { code, stderr } = await installation(database, args);
    expect(code).toBe(1);
    expect(stderr).toContain(sentence);
  });
});

describe.each(wires)('over %s', (wire) => {
  test('a sign-in whose stored hash cannot be read is refused, counted and logged, and a reset helps', async () => {
    const service = await start({ env: { AUTO_CONFIRM_EMAIL: 'on' } });
    const { auth, admin } = service.clients(wire);
    const { user } = await service.welcome({ ...ada, emailVerified: true });
    await service.database.query(
      `update users set password_hash = replace(password_hash, 'p=1$', 'p=1,keyid=Y2VsbGFy$') where email = $1`,
      [ada.email],
    );
    expect((await refusalOf(auth.signIn(ada))).reason).toBe('INVALID_CREDENTIALS');
    const { events } = await admin.listAuditEvents({ userId: user.id, action: 'auth.login_failed' }, asService);
    expect(events).toMatchObject([{ cause: 'unreadable_hash' }]);
    const line = service.ledger.lines.find((each) => each.includes('a stored password hash cannot be read'));
    expect(JSON.parse(line!)).toMatchObject({ level: 50, kind: 'pepper', pepper: 'cellar' });
    await service.database.query(`update users set password_hash = 'damaged' where email = $1`, [ada.email]);
    await refusalOf(auth.signIn(ada));
    const scraped = new Scrape(await service.replicas[0]!.metrics.scrape());
    expect(scraped.by('reason', 'gatehouse_unreadable_hashes_total')).toEqual({ damaged: 1, pepper: 1 });
    expect(scraped.value('gatehouse_sign_ins_total', { outcome: 'unreadable_hash' })).toBe(2);
    await auth.requestPasswordReset({ email: ada.email });
    await auth.resetPassword({ token: await tokenFor(service, ada.email), newPassword: 'a new engine of hers' });
    await auth.signIn({ ...ada, password: 'a new engine of hers' });
  });
});
