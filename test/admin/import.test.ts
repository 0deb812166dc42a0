import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { hash as bcrypt } from '@node-rs/bcrypt';
import { expect, test } from 'vitest';
import { partsOf } from '../support/forge.ts';
import { importing, refusalsIn } from '../support/importing.ts';
import { ada, asService, bob, testEnv } from '../support/people.ts';
import { run } from '../support/process.ts';
import { refusalOf } from '../support/refusal.ts';
import { start } from '../support/start.ts';

/** JSON of an object of that many levels. */
const nested = (levels: number) => `${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;

test('the import creates a user per line, who signs in with their old password', async () => {
  const service = await start();
  const line = {
    id: '7b2c7e1e-5a0e-4d0b-9c61-1a1b1c1d1e1f',
    email: 'Ada@Example.org',
    name: 'Ada',
    email_verified: true,
    password_hash: await bcrypt(ada.password, 4),
    created_at: '2019-03-01T12:00:00+01:00',
    locale: 'en',
    app_metadata: { plan: 'gold' },
    user_metadata: { theme: 'dark' },
  };
  const { again } = importing(service, [line, '', { email: bob.email }]);
  expect(await again()).toMatchObject({
    code: 0,
    stdout: '3 lines: 2 users created, 0 already existed, 0 refused\n',
  });
  const { user } = await service.signIn(ada);
  expect(user).toMatchObject({ id: line.id, email: 'Ada@Example.org', emailVerified: true, name: 'Ada', locale: 'en' });
  expect(user.createTime!.seconds).toBe(BigInt(Date.parse(line.created_at) / 1000));
  const [row] = await service.database.query('select * from users where email_key = $1', [ada.email]);
  expect(row).toMatchObject({ app_metadata: { plan: 'gold' }, user_metadata: { theme: 'dark' } });
  const events = await service.database.query(`select * from audit_events where action = 'user.import'`);
  expect(events.map(({ user_id }) => user_id)).toContain(line.id);
  expect(events).toHaveLength(2);
  expect(events[0]).toMatchObject({ actor_kind: 'service', actor_id: 'command line', user_agent: 'gatehouse import' });
});

test('an import keeps metadata that access tokens leave out, and reports its line', async () => {
  const service = await start();
  const { admin, auth, sessions } = service.clients('grpc');
  const large = { ...ada, password_hash: await bcrypt(ada.password, 4), user_metadata: { note: 'x'.repeat(6000) } };
  const { password: _, ...line } = large;
  const { again, report } = importing(service, [{ email: bob.email, user_metadata: { note: 'x' } }, line]);
  expect(await again()).toMatchObject({
    code: 0,
    stdout: '2 lines: 2 users created, 0 already existed, 0 refused, 1 with metadata too large for access tokens\n',
  });
  expect(refusalsIn(report)).toEqual([{ line: 2, note: expect.stringMatching(/^metadata of 60\d\d bytes: kept/) }]);
  const { as, tokens, user } = await service.signIn(ada);
  const kept = { userMetadata: large.user_metadata };
  expect((await admin.getUser({ userId: user.id }, asService)).user).toMatchObject(kept);
  expect(await sessions.introspect({ token: tokens.accessToken }, asService)).toMatchObject(kept);
  const { claims } = partsOf(tokens.accessToken);
  expect([claims.app_metadata, claims.user_metadata]).toEqual([{ provider: 'email', providers: ['email'] }, {}]);
  const update = (userMetadata: object) => auth.updateMe({ userMetadata } as never, as);
  expect(await refusalOf(update({ more: 'x' }))).toMatchObject({ code: 3, fields: ['user_metadata'] });
  await update({ note: 'x'.repeat(5500) });
  await update({ note: 'x'.repeat(100) });
  const { tokens: later } = await service.signIn(ada);
  expect(partsOf(later.accessToken).claims).toMatchObject({ user_metadata: { note: 'x'.repeat(100) } });
});

test('an import that is run again skips existing users, and changes nothing of theirs', async () => {
  const service = await start();
  const { admin } = service.clients('grpc');
  await admin.createUser(ada, asService);
  const lines = Array.from({ length: 1200 }, (_, n) => ({ email: `user-${n}@example.org`, name: `User ${n}` }));
  const { again } = importing(service, [...lines, { email: ada.email, name: 'Mallory' }, lines[0]]);
  expect((await again()).stdout).toBe('1202 lines: 1200 users created, 2 already existed, 0 refused\n');
  const before = await service.database.checksums();
  expect((await again()).stdout).toBe('1202 lines: 0 users created, 1202 already existed, 0 refused\n');
  expect(await service.database.checksums()).toEqual(before);
  await service.signIn(ada);
  const [events] = await service.database.query('select count(*)::int as count from audit_events');
  expect(events!.count, 'one event a user, and those of ada').toBe(1202);
});

test('invalid lines are reported by number and reason, without their content, and the others are imported', async () => {
  const service = await start();
  const wrong: Record<string, unknown> = {
    'not JSON': '{"email": ',
    'email: Invalid email address': { email: 'nobody' },
    'Unrecognized key: "admin"': { email: 'x@example.org', admin: true },
    'password_hash: the form is not known': { email: 'x@example.org', password_hash: 'plain text secret' },
    'password_hash: the cost is too high': { email: 'x@example.org', password_hash: `$2b$31$${'a'.repeat(53)}` },
    'app_metadata a key is not allowed: __proto__, constructor or prototype':
      '{"email":"x@example.org","app_metadata":{"a":{"__proto__":{}}}}',
    'name: holds control characters': { email: 'x@example.org', name: 'a\u0000b' },
    'name: holds characters that nobody sees': { email: 'x@example.org', name: 'a\u202eb' },
    'longer than 64 KiB': { email: 'x@example.org', name: 'x'.repeat(70_000) },
  };
  const { again, report } = importing(service, [...Object.values(wrong), { email: bob.email }]);
  const ended = await again();
  expect(ended).toMatchObject({ code: 1, stdout: '10 lines: 1 user created, 0 already existed, 9 refused\n' });
  expect(ended.stderr).toContain(`9 lines were refused; ${report} has their numbers and reasons`);
  expect(refusalsIn(report)).toEqual(Object.keys(wrong).map((reason, index) => ({ line: index + 1, reason })));
  expect(await service.database.query('select email from users')).toEqual([{ email: bob.email }]);
});

test('no line stops an import: each invalid one is reported once, and all others are imported', async () => {
  const service = await start();
  const id = '7b2c7e1e-5a0e-4d0b-9c61-1a1b1c1d1e1f';
  const deep = (levels: number) => `{"email":"x@example.org","app_metadata":${nested(levels)}}`;
  const half = '"\\ud800"';
  const wrong: [reason: string, line: unknown][] = [
    ['id: an earlier line has it', { id: id.toUpperCase(), email: 'x@example.org' }],
    ['name: holds a lone surrogate', `{"email":"x@example.org","name":${half}}`],
    ['app_metadata holds NUL or a lone surrogate', { email: 'x@example.org', app_metadata: { a: ['\0'] } }],
    ['app_metadata holds NUL or a lone surrogate', { email: 'x@example.org', app_metadata: { b: { 'a\0': 1 } } }],
    ['user_metadata holds NUL or a lone surrogate', `{"email":"x@example.org","user_metadata":{"a":${half}}}`],
    ['user_metadata holds NUL or a lone surrogate', `{"email":"x@example.org","user_metadata":{${half}:1}}`],
    ['app_metadata must be at most 32 levels deep', deep(33)],
    ['app_metadata must be at most 32 levels deep', deep(10_000)],
    ...['9999-12-31T23:59:59-14:00', '0000-01-01T00:00:00Z', '1969-12-31T23:59:59Z', '5000-01-01T00:00:00Z'].map(
      (at): [string, unknown] => ['created_at: not between 1970 and now', { email: 'x@example.org', created_at: at }],
    ),
    ['not UTF-8', Buffer.from('{"email":"x@example.org","name":"\xff"}', 'latin1')],
    ['not JSON', '['.repeat(60_000)],
  ];
  const good = [
    { id, email: ada.email, name: 'Line\u2028Separator', user_metadata: { note: 'one\ntwo\u2029three' } },
    '{"email":"windows@example.org"}\r',
    deep(32).replace('x@', 'deep@'),
    { email: bob.email, created_at: '1970-01-01T00:00:00Z' },
  ];
  const { again, report } = importing(service, [good[0], ...wrong.map(([, line]) => line), ...good.slice(1)]);
  const ended = await again();
  expect(ended.stdout).toBe(
    `${good.length + wrong.length} lines: ${good.length} users created, 0 already existed, ${wrong.length} refused\n`,
  );
  expect(refusalsIn(report)).toEqual(wrong.map(([reason], index) => ({ line: index + 2, reason })));
  const [row] = await service.database.query('select name, user_metadata from users where id = $1', [id]);
  expect(row).toEqual({ name: 'Line\u2028Separator', user_metadata: { note: 'one\ntwo\u2029three' } });
});

test('a line that only the database refuses is found, and the others are imported', async () => {
  const service = await start();
  await service.database.query(`alter table users add constraint tested check (name <> 'Mallory')`);
  const lines = Array.from({ length: 700 }, (_, n) => ({ email: `user-${n}@example.org`, name: `User ${n}` }));
  for (const n of [0, 311, 312, 699]) lines[n]!.name = 'Mallory';
  const { again, report } = importing(service, lines);
  expect((await again()).stdout).toBe('700 lines: 696 users created, 0 already existed, 4 refused\n');
  const reason = 'the database does not take it (SQLSTATE 23514)';
  expect(refusalsIn(report)).toEqual([1, 312, 313, 700].map((line) => ({ line, reason })));
  await service.database.query('alter table users drop constraint tested');
  expect((await again()).stdout).toBe('700 lines: 4 users created, 696 already existed, 0 refused\n');
});

test('null is an absent field', async () => {
  const service = await start();
  const names = ['id', 'name', 'email_verified', 'password_hash', 'created_at', 'phone', 'locale', 'timezone'];
  const absent = [...names, 'app_metadata', 'user_metadata'].map((name) => [name, null]);
  const { again } = importing(service, [{ ...Object.fromEntries(absent), email: ada.email }]);
  expect(await again()).toMatchObject({ code: 0, stdout: '1 line: 1 user created, 0 already existed, 0 refused\n' });
  const [row] = await service.database.query(
    'select name, phone, locale, timezone, app_metadata, user_metadata, password_hash, email_verified_at from users',
  );
  expect(row).toEqual({
    ...{ name: '', phone: '', locale: '', timezone: '' },
    ...{ app_metadata: {}, user_metadata: {}, password_hash: null, email_verified_at: null },
  });
});

test('what cannot be imported is reported in a sentence, also without a database', async () => {
  const nowhere = { DATABASE_URL: 'postgres://127.0.0.1:1/nowhere', MASTER_KEYS: testEnv.MASTER_KEYS };
  const sentences: [args: string[], sentence: string][] = [
    [
      ['/nonexistent/users'],
      "/nonexistent/users cannot be imported: ENOENT: no such file or directory, open '/nonexistent/users'\n",
    ],
    [['/tmp'], '/tmp cannot be imported: it is a directory\n'],
  ];
  for (const [args, stderr] of sentences)
    expect(await run(['import', ...args], nowhere)).toMatchObject({ code: 1, stdout: '', stderr });
});

test('the lines of a pipe are imported, and their report is written to the working directory', async () => {
  const service = await start();
  const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-import-'));
  const main = path.join(import.meta.dirname, '../../src/main.ts');
  const env = { ...process.env, DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS, main };
  const command = `printf '{"email": "${ada.email}"}\\nnot JSON\\n' | "${process.execPath}" "$main" import`;
  for (const pipe of ['-', '/dev/stdin']) {
    rmSync(path.join(dir, 'import.refused.jsonl'), { force: true });
    const { status, stdout } = spawnSync('sh', ['-c', `${command} ${pipe}`], { cwd: dir, env, encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stdout).toMatch(/^2 lines: .*, 1 refused\n$/);
    expect(refusalsIn(path.join(dir, 'import.refused.jsonl'))).toEqual([{ line: 2, reason: 'not JSON' }]);
  }
  expect(await service.database.query('select email from users')).toEqual([{ email: ada.email }]);
});
