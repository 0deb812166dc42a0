import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readConfig } from '../../src/config/config.ts';
import { migrate } from '../../src/database/migrate.ts';
import { migrations } from '../../src/database/migrations/index.ts';
import { openOrm } from '../../src/database/orm.ts';
import { startServer } from '../../src/server.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { testEnv } from '../support/people.ts';
import { launch, run } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { start } from '../support/start.ts';

/** The whole schema as lines of text. */
async function schemaOf({ query }: TestDatabase): Promise<string[]> {
  const rows = await query<{ line: string }>(`
    with ours as (select * from pg_class where relnamespace = 'public'::regnamespace and not relispartition)
    select concat_ws(' ', 'table', relname, relkind, relpersistence, reloptions, pg_get_partkeydef(oid)) as line from ours where relkind in ('r', 'p', 'S', 'v')
    union all
    select concat_ws(' ', 'column', relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
      from ours join pg_attribute a on attrelid = ours.oid and attnum > 0 and not attisdropped
      left join pg_attrdef d on adrelid = attrelid and adnum = attnum where relkind in ('r', 'p')
    union all
    select concat_ws(' ', indexdef) from pg_indexes where schemaname = 'public' and tablename !~ '^audit_events_'
    union all
    select concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint
      where connamespace = 'public'::regnamespace and conrelid in (select oid from ours)
    union all
    select pg_get_triggerdef(t.oid) from pg_trigger t join ours on ours.oid = tgrelid where not tgisinternal
    union all
    select pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
    order by 1`);
  return rows.map(({ line }) => line);
}

async function createEmptyDatabase(isolation = 'read committed'): Promise<TestDatabase> {
  const database = await createDatabase();
  await database.query(`alter database ${database.name} set default_transaction_isolation = '${isolation}'`);
  await database.query('drop schema public cascade');
  await database.query('create schema public');
  return database;
}

/** Opens and migrates the database and serves, like the command. */
async function startReplica(url: string) {
  const { config } = readConfig({ ...testEnv, DATABASE_POOL_SIZE: '2' });
  const orm = await openOrm(url, config.database);
  await migrate(orm);
  const server = await startServer({ config, orm, log: pino({ level: 'silent' }) });
  onTestFinished(() => server.stop());
  return server;
}

describe('the migrations', () => {
  test('create the tables that the entities describe', async () => {
    const database = await createDatabase();
    const orm = await openOrm(database.url);
    onTestFinished(() => orm.close(true));
    expect(await orm.migrator.checkSchema(), 'is a migration missing?').toBe(false);
  });

  test.each(['read committed', 'serializable'])(
    'run once when five replicas start on an empty database that is %s, and all five serve',
    async (isolation) => {
      const database = await createEmptyDatabase(isolation);
      const proxy = await startProxy();
      const replicas = await Promise.all(Array.from({ length: 5 }, () => startReplica(proxy.url(database))));
      expect(await schemaOf(database)).toEqual(await schemaOf(await createDatabase()));
      const creations = proxy.statements.filter(({ text }) => /^create table "users"/.test(text));
      expect(creations).toHaveLength(1);
      const applied = await database.query<{ name: string }>('select name from migrations order by id');
      expect(applied).toEqual(migrations.map(({ name }) => ({ name })));
      expect(await database.query('select state from signing_keys order by state')).toEqual([
        { state: 'active' },
        { state: 'standby' },
      ]);
      const kids = replicas.map(({ ring }) => ring.signer().id);
      expect(new Set(kids).size, 'all sign with one key').toBe(1);
    },
  );

  test('are rolled back when the process is killed, and run again at the next start', async () => {
    const database = await createEmptyDatabase();
    const proxy = await startProxy();
    const { MASTER_KEYS } = testEnv;
    const migrating = proxy.hold('before', /^create table "sessions"/);
    const killed = launch(['migrate'], { DATABASE_URL: proxy.url(database), MASTER_KEYS });
    const held = await migrating;
    await killed.end('SIGKILL');
    held.reset();
    const tables = `select tablename from pg_tables where schemaname = 'public' and tablename <> 'migrations'`;
    await expect.poll(() => database.query(tables)).toEqual([]);
    const again = await run(['migrate'], { DATABASE_URL: database.url, MASTER_KEYS });
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(await schemaOf(database)).toEqual(await schemaOf(await createDatabase()));
  });

  test('wait for a migration of another process, however long it takes', async () => {
    const database = await createEmptyDatabase();
    const release = await database.hold('select pg_advisory_xact_lock($1)', [0x6a7e4005e]);
    const orm = await openOrm(database.url, { statementTimeout: 1, poolSize: 1 });
    onTestFinished(() => orm.close(true));
    const waiting = migrate(orm).then(() => 'done');
    expect(await Promise.race([waiting, sleep(2500, 'waits')])).toBe('waits');
    await release();
    expect(await waiting).toBe('done');
  });
});

describe('a refresh', () => {
  test('rewrites the row of its session within its page, and changes no index', async () => {
    const service = await start();
    const { sessions } = service.clients('grpc');
    const guests = await Promise.all(Array.from({ length: 20 }, () => service.guest()));
    await service.database.query('select pg_stat_reset()');
    // One after the other: a page is pruned only when no transaction can see its old rows.
    for (const { tokens } of guests)
      for (let i = 0, token = tokens.refreshToken; i < 25; i++) {
        const { tokens: next } = await sessions.refresh({ refreshToken: token });
        token = next!.refreshToken;
      }
    const updates = async () => {
      const [row] = await service.database.query<{ all: number; hot: number }>(
        `select n_tup_upd::int as all, n_tup_hot_upd::int as hot from pg_stat_user_tables where relname = 'sessions'`,
      );
      return row!;
    };
    // A backend reports its statistics when it ends.
    await service.database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'gatehouse'`,
    );
    await expect.poll(async () => (await updates()).all).toBe(500);
    // All of them on an idle machine; a slow transaction keeps old versions on their page.
    expect((await updates()).hot).toBeGreaterThanOrEqual(450);
  });
});

describe('the tables', () => {
  test('of sessions keeps room on its pages; that of rate limits of a minute is unlogged', async () => {
    const { query } = await createDatabase();
    const storage = await query(
      `select relname, relpersistence, reloptions from pg_class where relname in ('sessions', 'rate_limits', 'durable_rate_limits', 'users') order by 1`,
    );
    expect(storage).toEqual([
      { relname: 'durable_rate_limits', relpersistence: 'p', reloptions: null },
      { relname: 'rate_limits', relpersistence: 'u', reloptions: null },
      { relname: 'sessions', relpersistence: 'p', reloptions: ['fillfactor=80'] },
      { relname: 'users', relpersistence: 'p', reloptions: null },
    ]);
  });

  test('have a project in each row, as the first column of every natural key', async () => {
    const { query } = await createDatabase();
    const without = await query(`
      select tablename from pg_tables t where schemaname = 'public' and not exists (
        select from information_schema.columns where table_name = tablename and column_name = 'project_id' and is_nullable = 'NO')
      order by 1`);
    expect(without.map(({ tablename }) => tablename)).toEqual([
      'database_outages',
      'heartbeat',
      'installation',
      'leases',
      'migrations',
      'projects',
      'signing_keys',
    ]);
    // The key of the queue is a place in it, not a natural key.
    const natural = await query<{ definition: string }>(`
      select pg_get_constraintdef(oid) as definition from pg_constraint
      where connamespace = 'public'::regnamespace and contype in ('u', 'p') and array_length(conkey, 1) > 1
        and conrelid <> 'audit_unsealed'::regclass`);
    expect(natural.length).toBeGreaterThan(1);
    for (const { definition } of natural) expect(definition).toMatch(/\(project_id, /);
  });

  test('have ids in order of time, so that new rows share pages of the index', async () => {
    const service = await start();
    const ids: string[] = [];
    for (let i = 0; i < 30; i++) ids.push((await service.guest()).user.id);
    expect(ids).toEqual([...ids].sort());
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});
