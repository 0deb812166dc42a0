import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ada, testEnv } from '../support/people.ts';
import { run, serve } from '../support/process.ts';
import { certificate, startTlsPostgres, type TlsPostgres } from '../support/tls-postgres.ts';

const { MASTER_KEYS } = testEnv;

let server: TlsPostgres;
beforeAll(async () => {
  server = await startTlsPostgres();
  await server.query(`create role bob login password 'bob'`);
});
afterAll(() => server.stop());

describe('the start fails at once, and names the setting and the cure, with', () => {
  test.each<[fault: string, url: () => string, sentence: RegExp]>([
    [
      'a wrong password',
      () => server.url('').replace(/:[^:@]+@/, ':wrong@'),
      /the password is wrong \(28P01 from 127.*:\d+\)/,
    ],
    ['an unknown user', () => server.url('').replace('ada:', 'carol:'), /(password is wrong|admits no such user)/],
    ['plain text', () => server.url('?sslmode=disable'), /admits no such user, address or encryption/],
    ['an unknown database', () => server.url('').replace('/auth', '/nowhere'), /does not exist: create it/],
    ['a missing right', () => server.url('').replace(/ada:[^@]+@/, 'bob:bob@'), /lacks a right: .*42501/],
    ['another certificate', () => server.url(`?sslmode=verify-full`), /certificate of the server is not accepted/],
  ])('%s', async (_, url, sentence) => {
    const since = performance.now();
    const { code, stderr } = await run(['serve'], { DATABASE_URL: url(), MASTER_KEYS });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^DATABASE_URL: [^\n]+\n$/);
    expect(stderr).toMatch(sentence);
    expect(stderr).not.toContain(encodeURIComponent('p%ss'));
    expect(performance.now() - since).toBeLessThan(10_000);
  });

  test('an unknown host', async () => {
    const { code, stderr } = await run(['migrate'], {
      DATABASE_URL: 'postgres://ada@no-such-host.invalid/auth',
      MASTER_KEYS,
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^DATABASE_URL: the host is unknown \(ENOTFOUND from no-such-host\.invalid:5432\)\n$/);
  });

  test('a fault in production, as one line of JSON', async () => {
    const { code, stderr } = await run(['serve'], { NODE_ENV: 'production', MASTER_KEYS, PUBLIC_URL: 'http://a' });
    expect(code).toBe(78);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(JSON.parse(stderr)).toMatchObject({ level: 60, msg: expect.stringContaining('PUBLIC_URL') });
  });
});

test('other formats, another time zone and another search path of the database change nothing', async () => {
  await server.query('create schema other authorization ada', [], 'auth');
  for (const setting of [`datestyle = 'German, DMY'`, `timezone = 'Asia/Tokyo'`, 'search_path = other'])
    await server.query(`alter database auth set ${setting}`);
  const DATABASE_URL = server.url(`?sslmode=verify-full&sslrootcert=${certificate('authority.pem')}`);
  const { clients } = await serve({ DATABASE_URL, MASTER_KEYS, AUTO_CONFIRM_EMAIL: 'on' });
  await clients.json.auth.register(ada);
  const { user } = await clients.json.auth.signIn(ada);
  expect(Math.abs(Number(user!.createTime!.seconds) - Date.now() / 1000)).toBeLessThan(60);
  const tables = `select 1 from pg_tables where schemaname = 'public' and tablename = 'users'`;
  expect(await server.query(tables, [], 'auth')).toHaveLength(1);
});
