import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { connectionsOf } from '../../src/database/autocommit.ts';
import { runConcurrently } from '../../src/database/concurrent-run.ts';
import { migrate } from '../../src/database/migrate.ts';
import { openOrm } from '../../src/database/orm.ts';
import { installationLock } from '../../src/database/transaction.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { testEnv } from '../support/people.ts';
import { launch, run } from '../support/process.ts';
import { start, wires } from '../support/start.ts';

const { MASTER_KEYS } = testEnv;
const name = 'Migration20261130310100_mails_of_domain';

/** The database of the release before that index. */
async function createEarlierDatabase(): Promise<TestDatabase> {
  const database = await createDatabase();
  await database.query('drop index mail_outbox_domain');
  await database.query('delete from migrations where name = $1', [name]);
  return database;
}

const stateOf = async ({ query }: TestDatabase) => {
  const [row] = await query(
    `select (select count(*)::int from migrations where name = $1) as recorded,
       (select indisvalid from pg_index where indexrelid = to_regclass('mail_outbox_domain')) as valid`,
    [name],
  );
  return row;
};

const done = { recorded: 1, valid: true };
const begun = { recorded: 0, valid: false };

/** An open transaction that has written to the table: a build waits for its end. */
const holdWrite = (database: TestDatabase, table = 'mail_outbox') =>
  database.hold(`lock table ${table} in row exclusive mode`);

test.each(wires)('over %s a refresh succeeds while an index of its table is built concurrently', async (wire) => {
  const service = await start();
  const { tokens } = await service.guest();
  const { sessions } = service.clients(wire);
  const refresh = (refreshToken: string) => sessions.refresh({ refreshToken });
  const release = await holdWrite(service.database, 'sessions');
  const orm = await openOrm(service.database.url);
  onTestFinished(() => orm.close(true));
  const connections = connectionsOf(orm);
  const client = await connections.open();
  onTestFinished(() => client.end());
  const lines: string[] = [];
  const statements = ['create index concurrently if not exists "sessions_of_agent" on "sessions" ("user_agent")'];
  const pending = { name: 'of a test', isConcurrent: true, statements };
  const run = { connections, client, report: (line: string) => lines.push(line) };
  const building = runConcurrently(run, pending, 'select 1');
  await service.database.blocked(1);
  const { tokens: next } = await refresh(tokens.refreshToken);
  await expect
    .poll(() => lines[0], { timeout: 10_000 })
    .toMatch(/^of a test builds the index sessions_of_agent: .*pid/);
  await release();
  await building;
  expect(
    await service.database.query(`select indisvalid from pg_index where indexrelid = 'sessions_of_agent'::regclass`),
  ).toEqual([{ indisvalid: true }]);

  // The control: the same with a plain index.
  const releaseAgain = await holdWrite(service.database, 'sessions');
  const plain = client.query('create index "sessions_of_address" on "sessions" ("address")').catch(() => {});
  await service.database.blocked(1);
  const waiting = refresh(next!.refreshToken);
  expect(await Promise.race([waiting, sleep(1000, 'waits')])).toBe('waits');
  await releaseAgain();
  await Promise.all([plain, waiting]);
});

test('a process that is killed while it builds an index is followed by one that completes it', async () => {
  const database = await createEarlierDatabase();
  const release = await holdWrite(database);
  const killed = launch(['migrate'], { DATABASE_URL: database.url, MASTER_KEYS });
  await expect.poll(() => stateOf(database), { timeout: 20_000 }).toEqual(begun);
  await killed.end('SIGKILL');
  const building = () =>
    database.query('select 1 from pg_stat_progress_create_index where datname = current_database()');
  await expect.poll(building, { timeout: 10_000 }).toEqual([]);
  expect(await stateOf(database), 'an invalid index is left').toEqual(begun);
  const next = run(['migrate'], { DATABASE_URL: database.url, MASTER_KEYS });
  await sleep(1000);
  await release();
  expect(await next).toMatchObject({ code: 0, stderr: '' });
  expect(await stateOf(database)).toEqual(done);
});

test('a build gives way to a replica of an earlier version, which waits for the lock with a snapshot', async () => {
  const database = await createEarlierDatabase();
  const release = await holdWrite(database);
  const orm = await openOrm(database.url);
  const lines: string[] = [];
  const migrating = migrate(orm, (line) => lines.push(line)).finally(() => orm.close(true));
  await database.blocked(1);
  const earlier = new pg.Client({ connectionString: database.url });
  await earlier.connect();
  await earlier.query('begin');
  const waiting = earlier.query(`select pg_advisory_xact_lock(${installationLock})`);
  await database.blocked(2);
  // PostgreSQL looks for a deadlock after a second: not before the build waits for the snapshot as well.
  await sleep(1200);
  await release();
  await waiting;
  await earlier.end();
  await migrating;
  expect(lines).toContain('another process waits for the lock of the installation, and goes first');
  expect(await stateOf(database)).toEqual(done);
});

test.each(['startup', 'role'] as const)(
  'two processes that migrate at once build the index once, and wait for no snapshot of each other (settings by %s)',
  async (settingsBy) => {
    const database = await createEarlierDatabase();
    const release = await holdWrite(database);
    const migrating = [0, 1].map(async () => {
      const orm = await openOrm(database.url);
      connectionsOf(orm).settingsBy = settingsBy;
      await migrate(orm).finally(() => orm.close(true));
    });
    await database.blocked(1);
    await sleep(700);
    const old = `select query from pg_stat_activity where datname = current_database() and query ~ 'advisory'
      and backend_xmin is not null and query_start < clock_timestamp() - interval '100 milliseconds'`;
    for (let look = 0; look < 50; look++) expect(await database.query(old)).toEqual([]);
    await release();
    await Promise.all(migrating);
    expect(await stateOf(database)).toEqual(done);
    expect(
      await database.query(
        `select 1 from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`,
      ),
    ).toEqual([]);
  },
);

test('a migration that waits for a lock lets the calls behind it pass, and tries again', async () => {
  const database = await createDatabase();
  await database.query('alter table mail_outbox drop column doubts');
  await database.query(`delete from migrations where name like '%_mail_window'`);
  const release = await database.hold('select count(*) from mail_outbox');
  const lines: string[] = [];
  const orm = await openOrm(database.url);
  onTestFinished(() => orm.close(true));
  const migrating = migrate(orm, (line) => lines.push(line));
  await database.blocked(1);
  const since = performance.now();
  await database.query('select 1 from mail_outbox');
  expect(performance.now() - since, 'shorter than calls wait for a lock').toBeLessThan(1900);
  await expect.poll(() => lines.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(2);
  expect(lines[0]).toMatch(
    /_mail_window waits for a lock \(attempt 1 of \d+\), and the transaction of pid \d+ has been/,
  );
  await release();
  await migrating;
  expect(await database.query('select doubts from mail_outbox')).toEqual([]);
});
