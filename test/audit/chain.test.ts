// @serializable
import { expect, onTestFinished, test } from 'vitest';
import { sealEvents } from '../../src/audit/seal.ts';
import { type Chain, type Head, verifyTrail } from '../../src/audit/verify.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { openOrm } from '../../src/database/orm.ts';
import { ada, bob, testEnv } from '../support/people.ts';
import { launch, run } from '../support/process.ts';
import { start, type TestService } from '../support/start.ts';

const keys = (service: TestService) => new MasterKeys(service.config.masterKeys);

async function ormOf(service: TestService) {
  const orm = await openOrm(service.database.url);
  onTestFinished(() => orm.close(true));
  return orm;
}

/** Seals all queued events, and waits until the replicas have none left. */
async function sealAll(service: TestService): Promise<void> {
  const orm = await ormOf(service);
  const left = async () => {
    await sealEvents(orm, keys(service), service.now());
    return (await service.database.query('select id from audit_unsealed')).length;
  };
  await expect.poll(left).toBe(0);
}

async function verify(service: TestService, head?: Head): Promise<Chain> {
  const heads = new Map(head && [['default', head]]);
  const [chain] = await verifyTrail(await ormOf(service), { keys: keys(service), heads });
  return chain!;
}

/** Changes the database with triggers switched off, as an attacker with that privilege would. */
async function tamper({ database }: TestService, ...statements: string[]): Promise<void> {
  await database.query('set session_replication_role = replica');
  for (const each of statements) await database.query(each);
  await database.query('set session_replication_role = origin');
}

/** A trail of several events and of two seals. */
async function trailOf(service: TestService) {
  await service.welcome(ada);
  await sealAll(service);
  await service.welcome(bob);
  await service.signIn(ada);
  await sealAll(service);
  const events = await service.database.query<{ id: string }>('select id from audit_events order by at, id');
  expect(events).toHaveLength(5);
  return events.map(({ id }) => id);
}

test('replicas seal every event once within seconds, and the chain is valid', async () => {
  const service = await start({ replicas: 2 });
  await Promise.all(Array.from({ length: 12 }, () => service.guest()));
  const unsealed = () => service.database.query('select id from audit_unsealed');
  await expect.poll(unsealed, { timeout: 5000 }).toEqual([]);
  const seals = await service.database.query<{ sequence: number; event_count: number }>(
    'select sequence, event_count from audit_seals order by sequence',
  );
  expect(seals.map(({ sequence }) => sequence)).toEqual(seals.map((_, index) => index + 1));
  expect(seals.reduce((sum, { event_count }) => sum + event_count, 0)).toBe(12);
  const chain = await verify(service);
  expect(chain).toMatchObject({ project: 'default', events: 12, unsealed: 0 });
  expect(chain.fault).toBeUndefined();
});

test('an event that commits after later ones were sealed is sealed afterwards, not skipped', async () => {
  const service = await start();
  const release = await service.database.hold(
    `insert into audit_events (id, project_id, at, action, result, actor_kind, address, user_agent, request_id)
     values ('01900000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000001', now() - interval '1 minute',
       'auth.login', 'SUCCESS', 'anyone', '', '', 'late')`,
  );
  await service.welcome();
  await sealAll(service);
  expect(await verify(service)).toMatchObject({ events: 2, unsealed: 0 });
  await release();
  expect(await verify(service), 'committed, and not sealed yet').toMatchObject({ events: 2, unsealed: 1 });
  await sealAll(service);
  const chain = await verify(service);
  expect(chain).toMatchObject({ events: 3, unsealed: 0 });
  expect(chain.fault).toBeUndefined();
});

test('writing an event waits neither for a running seal nor for one that cannot be created', async () => {
  const service = await start();
  await service.welcome();
  const release = await service.database.hold(`select name from leases where name = 'audit seals' for update`);
  const unlock = await service.database.hold('lock table audit_seals in access exclusive mode');
  await service.signIn();
  await service.guest();
  await release();
  await unlock();
  await sealAll(service);
  expect(await verify(service)).toMatchObject({ events: 4 });
});

const update = (what: string, id: string) => `update audit_events set ${what} where id = '${id}'`;

test.each<[what: string, sql: (ids: string[]) => string[], fault: (ids: string[]) => string]>([
  ['altered', (ids) => [update(`cause = 'nothing'`, ids[3]!)], (ids) => `event ${ids[3]} .* was altered`],
  [
    'moved to another entity',
    (ids) => [update(`entity_id = gen_random_uuid()::text`, ids[1]!)],
    (ids) => `event ${ids[1]} .* was altered`,
  ],
  [
    'given another type of entity',
    (ids) => [update(`entity_type = 'session'`, ids[1]!)],
    (ids) => `event ${ids[1]} .* was altered`,
  ],
  ['given another user', (ids) => [update('user_id = id', ids[1]!)], (ids) => `event ${ids[1]} .* was altered`],
  ['removed', (ids) => [`delete from audit_events where id = '${ids[2]}'`], (ids) => `event ${ids[2]} .* was removed`],
  [
    'given another time',
    (ids) => [update(`at = at - interval '1 hour'`, ids[4]!)],
    (ids) => `event ${ids[4]} .* was removed or its time was changed`,
  ],
  [
    'reordered',
    (ids) => [
      `with old as (select id, at from audit_events where id in ('${ids[0]}', '${ids[1]}'))
       update audit_events e set id = o.id from old o where e.id in (select id from old) and e.id <> o.id`,
    ],
    (ids) => `event ${ids[0]} .* was altered`,
  ],
  [
    'added without a seal',
    (ids) => [
      `insert into audit_events select p.* from audit_events e, jsonb_populate_record(null::audit_events,
         to_jsonb(e) || '{"id": "01900000-0000-7000-8000-000000000001"}') p where e.id = '${ids[0]}'`,
    ],
    () => 'event 01900000-0000-7000-8000-000000000001 .* was added without a seal',
  ],
  [
    'removed before it was sealed',
    () => [
      `insert into audit_unsealed (id, project_id, at)
       values ('01900000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000001', now())`,
    ],
    () => 'event 01900000-0000-7000-8000-000000000001 .* was removed',
  ],
])('verification names an event that was %s', async (_, sql, fault) => {
  const service = await start();
  const ids = await trailOf(service);
  expect((await verify(service)).fault).toBeUndefined();
  await tamper(service, ...sql(ids));
  await sealAll(service);
  expect((await verify(service)).fault).toMatch(new RegExp(fault(ids)));
});

test.each<[what: string, sql: string, fault: RegExp]>([
  ['was altered', `update audit_seals set events = events || events where sequence = 1`, /seal 1 .*was altered/],
  [
    'was rebuilt without the master key',
    `update audit_seals set hash = sha256(previous_hash || events) where sequence = 2`,
    /seal 2 .*was altered/,
  ],
  ['is missing', 'delete from audit_seals where sequence = 1', /seal 1 is missing/],
  ['has another total', 'update audit_seals set total = total + 1 where sequence = 2', /seal 2 .*was altered/],
  [
    'has another number of events',
    'update audit_seals set event_count = event_count + 1 where sequence = 2',
    /seal 2 .*was altered/,
  ],
  ['has another day', 'update audit_seals set day = day + 1 where sequence = 2', /seal 2 .*was altered/],
  [
    'has an unknown version',
    'update audit_seals set version = 1 where sequence = 2',
    /seal 2 has version 1, which this release cannot verify/,
  ],
  [
    'has an unknown master key',
    `update audit_seals set key_id = 'k9' where sequence = 2`,
    /seal 2 was created with master key 'k9', which is not among MASTER_KEYS/,
  ],
  [
    'was moved to the place of another',
    'update audit_seals a set previous_hash = b.previous_hash, events = b.events, hash = b.hash from audit_seals b where a.sequence = 1 and b.sequence = 3',
    /seal 1 does not follow the one before it/,
  ],
])('verification names a seal that %s', async (_, sql, fault) => {
  const service = await start();
  await trailOf(service);
  await service.guest();
  await sealAll(service);
  await tamper(service, sql);
  expect((await verify(service)).fault).toMatch(fault);
});

test('seals are neither changed nor deleted nor truncated', async () => {
  const service = await start();
  await trailOf(service);
  for (const sql of ['update audit_seals set sequence = 9', 'delete from audit_seals', 'truncate audit_seals'])
    await expect(service.database.query(sql), sql).rejects.toMatchObject({ code: '42501' });
});

test('audit verify prints the head of the chain, and exits with 1 and the first invalid event', async () => {
  const service = await start();
  const ids = await trailOf(service);
  const env = { DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS };
  const good = await run(['audit', 'verify'], env);
  expect(good).toMatchObject({ code: 0, stderr: expect.stringContaining('default: 5 events') });
  expect(good.stdout).toMatch(/^default {2}good {2}5 events in \d seals, 0 unsealed {2}head \d:[0-9a-f]{64}\n$/);
  await tamper(service, update(`address = '192.0.2.1'`, ids[0]!));
  const bad = await run(['audit', 'verify'], env);
  expect(bad.code).toBe(1);
  expect(bad.stderr).toContain(`event ${ids[0]}`);
  const foreign = await run(['audit', 'verify', '--head', `other=1:${'0'.repeat(64)}`], env);
  expect(foreign).toMatchObject({ code: 1, stderr: expect.stringContaining("there is no project 'other'") });
  const malformed = await run(['audit', 'verify', '--head', '1:abc'], env);
  expect(malformed).toMatchObject({ code: 2, stderr: expect.stringContaining("'1:abc' is not a head") });
  const unknown = launch(['audit', 'nonsense'], env);
  expect(await unknown.ended).toMatchObject({ code: 2 });
  expect(unknown.output.stderr).toContain("there is no 'audit nonsense'");
});

test('audit verify --head detects that the end of the trail was removed or replaced', async () => {
  const service = await start();
  await trailOf(service);
  const env = { DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS };
  const [, head] = /head (\d+:[0-9a-f]{64})/.exec((await run(['audit', 'verify'], env)).stdout)!;
  const verifyHead = (text: string) => run(['audit', 'verify', '--head', text], env);
  const [sequence] = head!.split(':');
  await service.guest();
  await sealAll(service);
  for (const kept of [head!, `default=${head}`]) expect(await verifyHead(kept)).toMatchObject({ code: 0 });
  const since = `from audit_seals where sequence >= ${sequence}`;
  const ids = `select encode(substring(events from n * 32 + 1 for 16), 'hex')::uuid from (select events, event_count ${since}) s,
    generate_series(0, event_count - 1) n`;
  await tamper(service, `delete from audit_events where id in (${ids})`, `delete ${since}`);
  expect(await run(['audit', 'verify'], env), 'without the head').toMatchObject({ code: 0 });
  const removed = await verifyHead(head!);
  expect(removed).toMatchObject({ code: 1, stderr: expect.stringContaining('its end was removed') });
  for (let guest = 0; guest < 2; guest++) {
    await service.guest();
    await sealAll(service);
  }
  const replaced = await verifyHead(head!);
  expect(replaced).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`seal ${sequence} is not the one of the kept head`),
  });
});

test('a seal that was valid once is not accepted in front of seals that followed another one', async () => {
  const service = await start();
  const query = service.database.query;
  await service.guest();
  await sealAll(service);
  await service.guest();
  await sealAll(service);
  const idsOf = (events: Buffer) => [events.toString('hex', 0, 16)];
  const [earlier] = await query<{ events: Buffer; hash: Buffer }>('select * from audit_seals where sequence = 2');
  const [event] = await query('select * from audit_events where id = any($1)', [idsOf(earlier!.events)]);
  await tamper(
    service,
    `delete from audit_events where id = '${event!.id}'`,
    'delete from audit_seals where sequence = 2',
  );
  for (let guest = 0; guest < 2; guest++) {
    await service.guest();
    await sealAll(service);
  }
  expect((await verify(service)).fault).toBeUndefined();
  const [later] = await query<{ events: Buffer }>('select events from audit_seals where sequence = 2');
  await query('create table kept_seals (like audit_seals)');
  await query('create table kept_events (like audit_events)');
  const keep = (table: string, row: object) =>
    query(`insert into ${table} select * from jsonb_populate_record(null::${table}, $1)`, [
      JSON.stringify(row, hexBytes),
    ]);
  await keep('kept_seals', earlier!);
  await keep('kept_events', event!);
  await tamper(
    service,
    `delete from audit_events where id = '${idsOf(later!.events)[0]}'`,
    'delete from audit_seals where sequence = 2',
    'insert into audit_events select * from kept_events',
    'insert into audit_seals select * from kept_seals',
    `update audit_seals set previous_hash = '\\x${earlier!.hash.toString('hex')}' where sequence = 3`,
  );
  await query('drop table kept_seals, kept_events');
  expect((await verify(service)).fault).toMatch(/^seal 3 .*was altered$/);
});

/** PostgreSQL's spelling of bytes, which JSON.stringify gets as lists of numbers. */
function hexBytes(_: string, value: unknown): unknown {
  const isBytes = typeof value === 'object' && value !== null && 'data' in value;
  return isBytes ? `\\x${Buffer.from(value.data as number[]).toString('hex')}` : value;
}
