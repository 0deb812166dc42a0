import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { hash as bcrypt } from '@node-rs/bcrypt';
import { expect, test } from 'vitest';
import { ada, asService, bob, testEnv } from './people.ts';
import { run } from './process.ts';
import { start, type TestService } from './start.ts';

function importing(service: TestService, lines: readonly unknown[]) {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'gatehouse-import-')), 'users.jsonl');
  writeFileSync(file, lines.map((each) => (typeof each === 'string' ? each : JSON.stringify(each))).join('\n'));
  const env = { DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS };
  return { file, report: `${file}.refused.jsonl`, again: () => run(['import', file], env) };
}

test('gatehouse import creates a user of each line, who signs in with the password they had', async () => {
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
    stdout: '3 lines: 2 users created, 0 there already, 0 refused\n',
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

test('an import started again passes over who is there, and changes nothing of theirs', async () => {
  const service = await start();
  const { admin } = service.clients('grpc');
  await admin.createUser(ada, asService);
  const lines = Array.from({ length: 1200 }, (_, n) => ({ email: `user-${n}@example.org`, name: `User ${n}` }));
  const { again } = importing(service, [...lines, { email: ada.email, name: 'Mallory' }, lines[0]]);
  expect((await again()).stdout).toBe('1202 lines: 1200 users created, 2 there already, 0 refused\n');
  const before = await service.database.checksums();
  expect((await again()).stdout).toBe('1202 lines: 0 users created, 1202 there already, 0 refused\n');
  expect(await service.database.checksums()).toEqual(before);
  await service.signIn(ada);
  const [events] = await service.database.query('select count(*)::int as count from audit_events');
  expect(events!.count, 'one event a user, and those of ada').toBe(1202);
});

test('lines that cannot be taken are told by number and reason, without what they held, and the others are taken', async () => {
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
  expect(ended).toMatchObject({ code: 1, stdout: '10 lines: 1 users created, 0 there already, 9 refused\n' });
  expect(ended.stderr).toContain(`9 lines were refused; ${report} says which, and why`);
  const told = readFileSync(report, 'utf8').trim().split('\n');
  expect(told.map((each) => JSON.parse(each))).toEqual(
    Object.keys(wrong).map((reason, index) => ({ line: index + 1, reason })),
  );
  expect(await service.database.query('select email from users')).toEqual([{ email: bob.email }]);
});

test('a file that is not there, and none at all, are told in a sentence', async () => {
  const service = await start();
  const env = { DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS };
  expect(await run(['import'], env)).toMatchObject({ code: 1, stderr: expect.stringContaining('say what to import') });
  expect(await run(['import', '/nonexistent/users'], env)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('ENOENT'),
  });
});
