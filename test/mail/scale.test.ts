import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { examine } from '../../bench/explain.ts';
import { fillQueue, mailIdOf } from '../../bench/queue.ts';
import { Recorder } from '../../bench/recorder.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { openOrm } from '../../src/database/orm.ts';
import { claimDue } from '../../src/mail/claim.ts';
import { createDatabase } from '../support/database.ts';
import { ada, asService, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { scrape } from '../support/scrape.ts';
import { startSink, type TakenMail } from '../support/smtp-sink.ts';
import { start, wires } from '../support/start.ts';

const patiently = { timeout: 15_000 };

const idOf = ({ parsed }: TakenMail) => /^<([0-9a-f-]{36})@/.exec(parsed.messageId!)![1]!;

/** The ids of the mails by address, in order of arrival. */
function arrivals(mails: readonly TakenMail[]): Map<string, string[]> {
  const byAddress = Map.groupBy(mails, ({ to }) => to[0]!);
  return new Map([...byAddress].map(([address, each]) => [address, each.map(idOf)]));
}

/** The ids of the two mails that the queue holds for an address, in their order. */
function idsFor(address: string): string[] {
  const first = 2 * Number(/^p(\d+)@/.exec(address)![1]);
  return [mailIdOf(first), mailIdOf(first + 1)];
}

/** The duration of the slowest of these calls in milliseconds. */
async function slowestOf(calls: readonly (() => Promise<unknown>)[]): Promise<number> {
  let slowest = 0;
  for (const call of calls) {
    const begun = performance.now();
    await call();
    slowest = Math.max(slowest, performance.now() - begun);
  }
  return slowest;
}

test('with ten thousand queued mails no call waits for the mail server, and once it is back each address gets its mails in order', async () => {
  const sink = await startSink();
  const service = await start({ env: { ...sink.env, MAIL_GAP: '0s', MAIL_HOURLY_LIMIT: '1000' } });
  await service.clients('json').admin.createUser(ada, asService);
  sink.state.mode = 'hang';
  await fillQueue(service.database.query, new MasterKeys(service.config.masterKeys), service.now(), 10_000);
  await expect.poll(() => sink.state.tries, patiently).toBe(2);
  const asking = wires.flatMap((wire) =>
    Array.from({ length: 20 }, () => () => service.clients(wire).auth.requestPasswordReset({ email: ada.email })),
  );
  expect(await slowestOf(asking)).toBeLessThan(6000);
  const told = async () => (await scrape(service.replicas[0]!)).value('gatehouse_mail_queue_length');
  expect(sink.mails).toEqual([]);
  expect(await told(), 'while the mail server hangs').toBe(10_000);

  sink.state.mode = 'take';
  sink.hangUp();
  await expect.poll(() => sink.mails.length, patiently).toBeGreaterThan(500);
  expect(await slowestOf(asking)).toBeLessThan(6000);
  await expect.poll(told, patiently).toBeLessThan(10_000);
  const seen = arrivals(sink.mails);
  // The mails whose attempt hung are due again in half a minute, and so are later mails to the same addresses.
  expect(seen.size).toBeGreaterThan(200);
  for (const [address, ids] of seen) expect(ids, address).toEqual(idsFor(address).slice(0, ids.length));
}, 60_000);

test('claiming mails reads a few rows for each, among ten thousand queued and many sent mails', async () => {
  const database = await createDatabase();
  const orm = await openOrm(database.url);
  onTestFinished(() => orm.close(true));
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  onTestFinished(() => client.end());
  const now = new Date();
  const keys = new MasterKeys([{ id: 'test', key: Buffer.alloc(32) }]);
  await fillQueue(database.query, keys, now, 10_000);
  await database.query(
    `insert into mail_outbox (id, project_id, kind, recipient, locale, state, attempts, created_at, due_at, ended_at)
     select gen_random_uuid(), project_id, kind, recipient, locale, 'sent', 1, created_at, due_at, created_at from mail_outbox, generate_series(1, 2)`,
  );
  await database.query('analyze');
  const recorder = new Recorder(orm);
  const leasedUntil = new Date(now.getTime() + 120_000);
  const { claimed } = await claimDue(recorder, { now, leasedUntil, limit: 20, domains: [], rooms: [], room: 20 });
  expect(claimed.map(({ id }) => id).toSorted()).toEqual(Array.from({ length: 20 }, (_, n) => mailIdOf(2 * n)));
  for (const plan of ['custom', 'generic'] as const) {
    const { rows, scanned } = await examine(client, recorder.last, plan);
    expect(rows, plan).toBeLessThan(20 * 20);
    expect(scanned, plan).toEqual([]);
  }
});

test('while a queue to one domain is sent, others are searched for once a second, and not after each claim', async () => {
  const sink = await startSink();
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url, env: { ...sink.env } });
  const keys = new MasterKeys(service.config.masterKeys);
  await fillQueue(service.database.query, keys, service.now(), 3000);
  await expect.poll(() => sink.mails.length, patiently).toBeGreaterThan(100);
  const before = proxy.statements.length;
  const begun = performance.now();
  await expect.poll(() => sink.mails.length, patiently).toBeGreaterThan(1000);
  const seconds = (performance.now() - begun) / 1000;
  const sent = (name: string) => proxy.statements.slice(before).filter((each) => each.name === name).length;
  expect(sent('mail_claim_by_domain')).toBeLessThanOrEqual(seconds + 2);
  expect(sent('mail_claim')).toBeGreaterThan(900 / 50);
}, 40_000);

test('mails of a killed process are sent at most twice, and none is lost', async () => {
  const sink = await startSink();
  const database = await createDatabase();
  const proxy = await startProxy();
  const env = { ...sink.env, MASTER_KEYS: testEnv.MASTER_KEYS };
  const doomed = await serve({ ...env, DATABASE_URL: proxy.url(database) });
  const survivor = await serve({ ...env, DATABASE_URL: database.url });
  const people = Array.from({ length: 30 }, (_, n) => ({ email: `p${n}@example.org`, password: ada.password }));
  for (const person of people) await survivor.clients.json.admin.createUser(person, asService);
  const held = people.map(() => proxy.hold('before', /set state = p\.state/));
  for (const [n, { email }] of people.entries()) await doomed.clients[wires[n % 2]!].auth.requestMagicLink({ email });
  await held[0];
  const ended = await doomed.end('SIGKILL');
  expect(ended.signal).toBe('SIGKILL');

  const queued = () =>
    database.query<{ id: string; attempts: number }>(`select id, attempts from mail_outbox where state = 'queued'`);
  await expect.poll(async () => (await queued()).every(({ attempts }) => attempts === 1), patiently).toBe(true);
  const unmarked = (await queued()).map(({ id }) => id);
  expect(unmarked.length, 'mails that the killed process had sent').toBeGreaterThan(0);
  const taken = sink.mails.map(idOf);
  expect(taken.toSorted(), 'leased: no other process sends them').toEqual([...new Set(taken)].toSorted());
  await database.query(`update mail_outbox set due_at = due_at - interval '2 minutes' where state = 'queued'`);
  await expect.poll(queued, patiently).toEqual([]);

  const counts = new Map([...Map.groupBy(sink.mails, idOf)].map(([id, copies]) => [id, copies.length]));
  expect(counts.size, 'no mail is lost').toBe(people.length);
  for (const [id, count] of counts) expect(count).toBeLessThanOrEqual(unmarked.includes(id) ? 2 : 1);
  expect(Math.max(...counts.values()), 'or the process was killed too late').toBe(2);
  for (const copies of Map.groupBy(sink.mails, idOf).values())
    expect(new Set(copies.map(({ parsed }) => parsed.text)).size).toBe(1);
  for (const wire of wires) {
    const [, token] = /\?token=(\S+)/.exec(
      sink.mails.find(({ to }) => to[0] === people[wire === 'grpc' ? 0 : 1]!.email)!.parsed.text!,
    )!;
    expect((await survivor.clients[wire].auth.signInWithMagicLink({ token: token! })).tokens).toBeDefined();
  }
}, 60_000);
