import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { ada, testEnv } from '../support/people.ts';
import { run, serve } from '../support/process.ts';
import { certificate, freePort, startTlsPostgres, type TlsPostgres } from '../support/tls-postgres.ts';

const { MASTER_KEYS } = testEnv;
const root = `sslrootcert=${encodeURIComponent(certificate('authority.pem'))}`;
const stranger = `sslrootcert=${encodeURIComponent(certificate('stranger-authority.pem'))}`;

let server: TlsPostgres;
beforeAll(async () => {
  server = await startTlsPostgres();
});
afterAll(() => server.stop());

/** Whether the connection is encrypted, and its settings. */
async function lookInside(url: string) {
  const orm = await openOrm(url, { poolSize: 1 });
  onTestFinished(() => orm.close(true));
  const [row] = await orm.em.fork().execute<Record<string, unknown>[]>(
    `select (select ssl from pg_stat_ssl where pid = pg_backend_pid()) as ssl, current_user::text as user,
       current_setting('application_name') as name, current_setting('search_path') as path,
       current_setting('statement_timeout') as timeout`,
  );
  return row!;
}

const faultOf = (url: string): Promise<string> =>
  lookInside(url).then(
    () => 'connected',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );

describe('a server that takes connections over TLS only', () => {
  test.each([
    'sslmode=require',
    'sslmode=prefer',
    'sslmode=allow',
    '',
    `sslmode=verify-ca&${root}`,
    `sslmode=verify-full&${root}`,
    `sslmode=require&${root}`,
    `sslmode=require&channel_binding=require`,
  ])('is reached encrypted with %j', async (parameters) => {
    expect(await lookInside(server.url(`?${parameters}`))).toMatchObject({ ssl: true, user: 'ada', timeout: '5s' });
  });

  test('is not reached with sslmode=disable', async () => {
    expect(await faultOf(server.url('?sslmode=disable'))).toBe('28000');
  });

  test.each([
    ['verify-full', 'a public authority', '', /UNABLE_TO|SELF_SIGNED/],
    ['verify-full', 'another authority', `&${stranger}`, /UNABLE_TO|SELF_SIGNED/],
    ['verify-ca', 'another authority', `&${stranger}`, /UNABLE_TO|SELF_SIGNED/],
    ['require', 'another authority', `&${stranger}`, /UNABLE_TO|SELF_SIGNED/],
  ])('is refused with %s and %s', async (mode, _, more, fault) => {
    expect(await faultOf(server.url(`?sslmode=${mode}${more}`))).toMatch(fault);
  });

  test('is refused by verify-full, not by verify-ca, under a name that its certificate lacks', async () => {
    const hosts = `[::1]:${server.port}`;
    expect(await faultOf(server.url(`?sslmode=verify-full&${root}`, hosts))).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(await lookInside(server.url(`?sslmode=verify-ca&${root}`, hosts))).toMatchObject({ ssl: true });
    expect(await lookInside(server.url(`?sslmode=verify-full&${root}`, `localhost:${server.port}`))).toMatchObject({
      ssl: true,
    });
  });

  test('receives the client certificate of sslcert and sslkey', async () => {
    const files = `sslcert=${certificate('backend.pem')}&sslkey=${certificate('backend.key')}`;
    const url = `postgresql://not-this-name@127.0.0.1:${server.port}/postgres?sslmode=require`;
    expect(await lookInside(`${url}&${files}`)).toMatchObject({ user: 'not-this-name', ssl: true });
    expect(await faultOf(url)).toBe('28000');
  });

  test('receives the application name and the options', async () => {
    await server.query('create schema other authorization ada', [], 'auth');
    const url = server.url('?sslmode=require&application_name=blue&options=-c%20search_path%3Dother');
    expect(await lookInside(url)).toMatchObject({ name: 'blue', path: 'other' });
    expect(await lookInside(server.url(''))).toMatchObject({ name: 'gatehouse', path: 'public' });
  });

  test('is reached over the socket directory of host=, with the port of port=', async () => {
    const socket = `host=${encodeURIComponent(server.socketDir)}&port=${server.port}`;
    expect(await lookInside(`postgresql://ada@localhost/auth?${socket}`)).toMatchObject({ ssl: false, user: 'ada' });
    expect(await lookInside(`postgresql://ada@/auth?${socket}`)).toMatchObject({ ssl: false, user: 'ada' });
  });

  test('is found behind hosts of the list that do not respond', async () => {
    const closed = await freePort();
    const hosts = `127.0.0.1:${closed},[::1]:${closed},127.0.0.1:${server.port}`;
    const url = server.url('?sslmode=require&target_session_attrs=read-write', hosts);
    expect(await lookInside(url)).toMatchObject({ ssl: true });
    expect(await lookInside(url.replace('read-write', 'any'))).toMatchObject({ ssl: true });
  });

  test('refuses a wrong password once, without trying the other hosts', async () => {
    const url = server.url('?sslmode=require', `127.0.0.1:${server.port},127.0.0.1:${await freePort()}`);
    expect(await faultOf(url.replace(/:[^:@]+@/, ':wrong@'))).toBe('28P01');
  });

  test('serves reads, writes, migrations, cancelled statements and workers over TLS alone', async () => {
    const url = server.url(`?sslmode=verify-full&${root}`);
    const { clients } = await serve({ DATABASE_URL: url, MASTER_KEYS, WORKERS: '2', AUTO_CONFIRM_EMAIL: 'on' });
    const { user } = await clients.json.auth.register(ada);
    expect(user!.email).toBe(ada.email);
    const open = await server.query<{ ssl: boolean }>(
      `select ssl from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'ada'`,
    );
    expect(open.length).toBeGreaterThan(1);
    expect(open.filter(({ ssl }) => !ssl)).toEqual([]);
  });

  test('cancels the statement of a call that left, over TLS as well', async () => {
    const orm = await openOrm(server.url(`?sslmode=verify-full&${root}`), { poolSize: 1, statementTimeout: 30 });
    onTestFinished(() => orm.close(true));
    const leaving = new AbortController();
    const sleeping = new Autocommit(orm, leaving.signal).send('sleep', 'select pg_sleep(20)', () => []);
    const running = () =>
      server.query(`select 1 from pg_stat_activity where query = 'select pg_sleep(20)' and state = 'active'`);
    await expect.poll(running).toHaveLength(1);
    leaving.abort(new Error('left'));
    await expect(sleeping).rejects.toThrow();
    await expect.poll(running).toEqual([]);
    expect(await new Autocommit(orm).send('one', 'select 1 as one', () => [])).toEqual([{ one: 1 }]);
  });
});

describe('a database that does not exist', () => {
  test('is refused at once, and created by migrate --create', async () => {
    const DATABASE_URL = server.url('?sslmode=require').replace('/auth?', '/a%20new%22one?');
    for (const command of ['serve', 'migrate']) {
      const refused = await run([command], { DATABASE_URL, MASTER_KEYS });
      expect(refused.code).toBe(1);
      expect(refused.stderr + refused.stdout).toContain(
        'does not exist: create it, or run npm start -- migrate --create',
      );
    }
    expect(await server.query(`select 1 from pg_database where datname like 'a new%'`)).toEqual([]);
    const created = await run(['migrate', '--create'], { DATABASE_URL, MASTER_KEYS });
    expect(created).toMatchObject({ code: 0, stderr: '' });
    expect(created.stdout).toBe('the database a new"one was created\nthe database is up to date\n');
    const again = await run(['migrate', '--create'], { DATABASE_URL, MASTER_KEYS });
    expect(again).toMatchObject({ code: 0, stdout: 'the database is up to date\n' });
  });
});
