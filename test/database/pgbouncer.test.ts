import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Autocommit, connectionsOf } from '../../src/database/autocommit.ts';
import { openOrm, requireDatabase } from '../../src/database/orm.ts';
import { ada, testEnv } from '../support/people.ts';
import { pgbouncerVersion, startPgbouncer } from '../support/pgbouncer.ts';
import { run, serve } from '../support/process.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { startTlsPostgres, type TlsPostgres } from '../support/tls-postgres.ts';

const { MASTER_KEYS } = testEnv;
if (pgbouncerVersion === undefined) console.error('NOT TRIED: PgBouncer is not installed (apt-get install pgbouncer)');

/** Before 1.21, PgBouncer keeps no prepared statements in transaction mode. */
const isOld = (pgbouncerVersion ?? 0) < 121;

describe.runIf(pgbouncerVersion !== undefined)('behind PgBouncer', () => {
  let server: TlsPostgres;
  beforeAll(async () => {
    server = await startTlsPostgres();
    await server.query('create role pooled login');
    await server.query('create database pooled owner pooled');
  });
  afterAll(() => server.stop());

  const adjusted = async (url: string) => {
    const orm = await openOrm(url, { poolSize: 2, statementTimeout: 30 });
    onTestFinished(() => orm.close(true));
    await requireDatabase(orm);
    return orm;
  };

  const complaintOf = (url: string): Promise<string> =>
    adjusted(url).then(
      () => 'fit',
      (error: Error) => error.message,
    );

  test('a direct connection has its settings from the start', async () => {
    const orm = await adjusted(server.url('?sslmode=require'));
    expect(connectionsOf(orm).settingsBy).toBe('startup');
  });

  describe('in session mode', () => {
    test('the service works, and its timeouts are in force', async () => {
      const url = (await startPgbouncer(server, { mode: 'session' }))('auth');
      const { clients } = await serve({ DATABASE_URL: url, MASTER_KEYS, AUTO_CONFIRM_EMAIL: 'on', WORKERS: '2' });
      await clients.json.auth.register(ada);
      expect((await clients.grpc.auth.signIn(ada)).user!.email).toBe(ada.email);
      const orm = await adjusted(url);
      expect(connectionsOf(orm).settingsBy).toBe('set');
      const [row] = await orm.em.fork().execute(`select current_setting('statement_timeout') as a,
          current_setting('lock_timeout') as b, current_setting('search_path') as c, current_setting('datestyle') as d`);
      expect(row).toEqual({ a: '30s', b: '12s', c: 'public', d: 'ISO, MDY' });
    });

    test('two processes migrate at once, and an index that was built in part is completed', async () => {
      await server.query('create database migrated owner pooled');
      const url = (await startPgbouncer(server, { mode: 'session', role: 'pooled' }))('migrated');
      const migrateTwice = async () => {
        const both = Promise.all([0, 1].map(() => run(['migrate'], { DATABASE_URL: url, MASTER_KEYS })));
        for (const each of await both) expect(each).toMatchObject({ code: 0, stderr: '' });
      };
      await migrateTwice();
      await server.query(`delete from migrations where name like '%_mails_of_domain'`, [], 'migrated');
      const index = `from pg_index where indexrelid = 'mail_outbox_domain'::regclass`;
      await server.query(
        `update pg_index set indisvalid = false where indexrelid = 'mail_outbox_domain'::regclass`,
        [],
        'migrated',
      );
      await migrateTwice();
      expect(await server.query(`select indisvalid ${index}`, [], 'migrated')).toEqual([{ indisvalid: true }]);
      expect(await server.query(`select 1 from pg_locks where locktype = 'advisory'`)).toEqual([]);
    });

    test('a call returns at its deadline, and its statement does not wait on and commit', async () => {
      const url = (await startPgbouncer(server, { mode: 'session' }))('pooled');
      const env = { MASTER_KEYS, AUTO_CONFIRM_EMAIL: 'on', DATABASE_STATEMENT_TIMEOUT: '20s' };
      const again = await abandonRefresh(server, 'pooled', { DATABASE_URL: url, ...env });
      expect(await again()).toBe('works');
    });

    test('cancelling one of many statements cancels no other', async () => {
      const url = (await startPgbouncer(server, { mode: 'session', settings: { default_pool_size: 5 } }))('auth');
      const orm = await openOrm(url, { poolSize: 3, statementTimeout: 30 });
      onTestFinished(() => orm.close(true));
      await requireDatabase(orm);
      const outcomes = Array.from({ length: 60 }, async (_, n) => {
        const signal = n % 3 === 0 ? AbortSignal.timeout(20 + n * 7) : undefined;
        const sent = new Autocommit(orm, signal).send('nap', 'select pg_sleep($1::float8)', () => [signal ? 5 : 0.01]);
        return sent.then(
          () => 'done',
          (error: Error) => (signal ? error.name : `cancelled: ${error.message}`),
        );
      });
      const found = await Promise.all(outcomes);
      expect(new Set(found)).toEqual(new Set(['done', 'TimeoutError']));
    });
  });

  test('in transaction mode without support for prepared statements and settings the service refuses to start', async () => {
    const url = (await startPgbouncer(server, { mode: 'transaction', role: 'pooled' }))('pooled');
    const { code, stderr } = await run(['serve'], { DATABASE_URL: url, MASTER_KEYS });
    expect(code).toBe(1);
    expect(stderr).toContain('ALTER ROLE CURRENT_USER SET statement_timeout = ');
    if (isOld) expect(stderr).toContain('set pool_mode=session, or use PgBouncer 1.21 or newer');
    expect(await server.query(`select 1 from pg_prepared_statements`), 'nothing leaks').toEqual([]);
  });

  describe('in transaction mode with the settings of the role', () => {
    beforeAll(async () => {
      await server.query('create role tuned login superuser');
      const settings = { statement_timeout: '20s', lock_timeout: '8s', idle_in_transaction_session_timeout: '40s' };
      for (const [name, value] of Object.entries(settings))
        await server.query(`alter role tuned set ${name} = '${value}'`);
      await server.query('create database tuned owner tuned');
    });
    const env = { MASTER_KEYS, AUTO_CONFIRM_EMAIL: 'on', DATABASE_STATEMENT_TIMEOUT: '20s', LIMITS: '*=off' };
    const bounce = async (settings: Record<string, number> = {}) => {
      const all = { max_prepared_statements: 200, ...settings };
      return (await startPgbouncer(server, { mode: 'transaction', role: 'tuned', settings: all }))('tuned');
    };

    test.runIf(isOld)('a PgBouncer before 1.21 is refused for its prepared statements only', async () => {
      const options = { mode: 'transaction', role: 'tuned' } as const;
      const url = (await startPgbouncer(server, options))('tuned');
      const complaint = await complaintOf(url);
      expect(complaint).toContain('loses prepared statements');
      expect(complaint).not.toContain('ALTER ROLE');
      console.error('NOT TRIED: PgBouncer 1.21 in transaction mode (this one is older)');
    });

    test.runIf(!isOld)('the service works over few connections to the server', async () => {
      const url = await bounce({ default_pool_size: 3 });
      const { clients } = await serve({ ...env, DATABASE_URL: url, WORKERS: '2' });
      const people = Array.from({ length: 20 }, (_, n) => ({ ...ada, email: `ada-${n}@example.org` }));
      const registered = await Promise.all(
        people.map(async (person, n) => {
          const { auth, sessions } = clients[n % 2 ? 'grpc' : 'json'];
          const { tokens } = await auth.register(person);
          return (await sessions.refresh({ refreshToken: tokens!.refreshToken })).tokens!.refreshToken;
        }),
      );
      expect(new Set(registered).size).toBe(people.length);
      expect(await server.query('select distinct generation from sessions', [], 'tuned')).toEqual([{ generation: 1 }]);
    });

    test.runIf(!isOld)('a call returns at its deadline, and its statement does not wait on and commit', async () => {
      const again = await abandonRefresh(server, 'tuned', { ...env, DATABASE_URL: await bounce() });
      // PgBouncer may end the connection whose statement was cancelled, once its next statement comes.
      await expect.poll(again).toBe('works');
    });
  });

  test('with one connection to the server, transaction mode is recognised as well', async () => {
    const settings = { default_pool_size: 1, ...(!isOld && { max_prepared_statements: 200 }) };
    const complaint = await complaintOf((await startPgbouncer(server, { mode: 'transaction', settings }))('auth'));
    expect(complaint).toContain('transaction mode, where connections cannot have settings of their own');
    expect(complaint.includes('loses prepared statements')).toBe(isOld);
  });

  test('in statement mode the service refuses to start', async () => {
    const url = (await startPgbouncer(server, { mode: 'statement' }))('auth');
    expect(await complaintOf(url)).toContain('statement mode, which has no transactions: set pool_mode=session');
  });
});

/**
 * A refresh whose deadline passes while its statement waits for a lock. Its statement ends with it and commits nothing. Returns
 * a function that refreshes with the same token, and returns the reason if it is refused.
 */
async function abandonRefresh(server: TlsPostgres, database: string, env: Parameters<typeof serve>[0]) {
  const { clients } = await serve(env);
  const { user, tokens } = await clients.json.auth.register(ada);
  const { refreshToken } = tokens!;
  const release = await server.hold(database, 'lock table sessions');
  const headers = { 'connect-timeout-ms': '300' };
  const late = refusalOf(clients.json.sessions.refresh({ refreshToken }, { headers }));
  expect((await late).reason).toBe('DEADLINE_EXCEEDED');
  const waiting = `select 1 from pg_stat_activity where datname = '${database}' and wait_event_type = 'Lock'`;
  await expect.poll(() => server.query(waiting), { timeout: 5000 }).toEqual([]);
  await release();
  const generations = await server.query('select generation from sessions where user_id = $1', [user!.id], database);
  expect(generations).toEqual([{ generation: 0 }]);
  return () => clients.json.sessions.refresh({ refreshToken }).then(() => 'works' as const, reasonOf);
}
