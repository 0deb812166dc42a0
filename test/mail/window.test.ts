// @serializable
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { fillQueue } from '../../bench/queue.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { Dispatcher } from '../../src/mail/dispatcher.ts';
import { Outbox } from '../../src/mail/outbox.ts';
import { Templates } from '../../src/mail/templates.ts';
import { smtpDelivery } from '../../src/mail/transport.ts';
import { createDatabase } from '../support/database.ts';
import { look } from '../support/look.ts';
import { ada, asService } from '../support/people.ts';
import { scrape } from '../support/scrape.ts';
import { startSink } from '../support/smtp-sink.ts';
import { start, type TestService } from '../support/start.ts';

const patiently = { timeout: 15_000 };

async function startWithSink(options: Parameters<typeof start>[0] = {}) {
  const sink = await startSink();
  const service = await start({ ...options, env: { ...sink.env, ...options.env } });
  return { sink, service, ...service.clients('json') };
}

const queued = ({ database }: TestService) =>
  database.query<{ attempts: number; fault: string | null; doubts: number }>(
    `select attempts, fault, doubts from mail_outbox where state = 'queued' order by id`,
  );
const statesOf = async ({ database }: TestService) =>
  (await database.query<{ state: string }>('select state from mail_outbox order by id')).map(({ state }) => state);

test('a domain whose server is silent delays no mail to others, and few mails to it are under way', async () => {
  const { sink, service, admin, auth } = await startWithSink({ replicas: 2, env: { LIMITS: '*=off' } });
  const slow = Array.from({ length: 60 }, (_, n) => ({ email: `p${n}@slow.example`, password: ada.password }));
  for (const person of [...slow, ada]) await admin.createUser(person, asService);
  sink.modeOf.set('slow.example', 'hang');
  for (const { email } of slow) await auth.requestPasswordReset({ email });
  await expect.poll(() => sink.state.tries, patiently).toBeGreaterThan(0);
  const startedAt = performance.now();
  await auth.requestPasswordReset({ email: ada.email });
  await expect.poll(() => sink.mails.length, patiently).toBe(1);
  expect(performance.now() - startedAt).toBeLessThan(3000);
  // Slow mails leave their places in the window to others, of which none is to the same domain.
  await sleep(6000);
  expect(sink.state.tries - 1).toBeLessThanOrEqual(2 * 2);
  expect((await queued(service)).filter(({ attempts }) => attempts > 0).length).toBeLessThanOrEqual(2 * 2);
}, 40_000);

test('a mail behind ten thousand others to a silent domain is sent within seconds', async () => {
  const { sink, service, admin, auth } = await startWithSink();
  await admin.createUser({ ...ada, email: 'ada@other.example' }, asService);
  sink.modeOf.set('example.org', 'hang');
  await fillQueue(service.database.query, new MasterKeys(service.config.masterKeys), service.now(), 10_000);
  await expect.poll(() => sink.state.tries, patiently).toBeGreaterThan(0);
  await auth.requestPasswordReset({ email: 'ada@other.example' });
  const startedAt = performance.now();
  await expect.poll(() => sink.mails.length, patiently).toBe(1);
  expect(performance.now() - startedAt).toBeLessThan(5000);
  expect(sink.mails[0]!.to).toEqual(['ada@other.example']);
}, 40_000);

test('a mail that may have been sent is tried twice more, and then given up', async () => {
  const { sink, service, admin, auth } = await startWithSink();
  await admin.createUser(ada, asService);
  sink.state.mode = 'drop';
  await auth.requestPasswordReset({ email: ada.email });
  for (let tried = 1; tried < 3; tried++) {
    await expect.poll(async () => (await queued(service))[0]?.doubts, patiently).toBe(tried);
    service.pass(1800);
  }
  await expect.poll(() => statesOf(service), patiently).toEqual(['dead']);
  expect(sink.mails).toHaveLength(3);
  expect(new Set(sink.mails.map(({ parsed }) => parsed.messageId)).size).toBe(1);
}, 40_000);

test('attempts that surely failed do not count as those after which a mail may have been sent', async () => {
  const { sink, service, admin, auth } = await startWithSink();
  await admin.createUser(ada, asService);
  sink.state.mode = { rcpt: 451 };
  await auth.requestPasswordReset({ email: ada.email });
  const retried = async () => (await scrape(service.replicas[0]!)).by('outcome', 'gatehouse_mails_total').retried;
  for (let tried = 1; tried <= 5; tried++) {
    await expect.poll(retried, patiently).toBe(tried);
    service.pass(1800);
  }
  sink.state.mode = 'drop';
  await expect.poll(async () => (await queued(service))[0]?.doubts, patiently).toBe(1);
  sink.state.mode = 'take';
  service.pass(3600);
  await expect.poll(() => statesOf(service), patiently).toEqual(['sent']);
}, 40_000);

test.each([
  ['the sender', { mail: 550 }],
  ['a client without a login', { mail: 530 }],
  ['to relay', { rcpt: 554, says: '5.7.1 relay access denied' }],
] as const)('a mail waits while the server refuses %s, and is sent when that is mended', async (_, mode) => {
  const { sink, service, admin, auth } = await startWithSink();
  await admin.createUser(ada, asService);
  sink.state.mode = mode;
  await auth.requestPasswordReset({ email: ada.email });
  await expect.poll(async () => (await queued(service))[0]?.fault, patiently).toMatch(/^5/);
  sink.state.mode = 'take';
  service.pass(31);
  await expect.poll(() => statesOf(service), patiently).toEqual(['sent']);
});

test('a mail whose server closed the idle connection is sent at the first attempt', async () => {
  const { sink, service, admin, auth } = await startWithSink();
  for (const email of [ada.email, 'bob@example.net']) {
    await admin.createUser({ ...ada, email }, asService);
    await auth.requestPasswordReset({ email });
    await expect.poll(() => sink.mails.at(-1)?.to, patiently).toEqual([email]);
    sink.hangUp();
  }
  await expect.poll(() => statesOf(service), patiently).toEqual(['sent', 'sent']);
  const attempts = await service.database.query<{ attempts: number }>('select attempts from mail_outbox');
  expect(attempts).toEqual([{ attempts: 1 }, { attempts: 1 }]);
});

/** Dispatchers on one queue that send to one server. */
async function openDispatchers(port: number, leases: { seconds: number; extendedEvery: number }) {
  const database = await createDatabase();
  const orm = await openOrm(database.url);
  onTestFinished(() => orm.close(true));
  const keys = new MasterKeys([{ id: 'test', key: Buffer.alloc(32) }]);
  const server = { scheme: 'smtp', host: '127.0.0.1', port, auth: undefined } as const;
  const dispatchers = [1, 2].map(() => {
    const delivery = smtpDelivery(server, { name: '', address: 'no-reply@gatehouse.test' });
    const shared = { outbox: new Outbox(keys), templates: Templates.load('en', look), autocommit: new Autocommit(orm) };
    const dispatcher = new Dispatcher({ ...shared, delivery, now: () => new Date(), onFault() {} }, leases);
    onTestFinished(() => dispatcher.stop());
    return dispatcher;
  });
  return { database, keys, dispatchers };
}

test('a lease lasts as long as its attempt', async () => {
  const sink = await startSink();
  sink.state.mode = { late: 4000 };
  const { database, keys, dispatchers } = await openDispatchers(sink.port, { seconds: 1, extendedEvery: 0.2 });
  await fillQueue(database.query, keys, new Date(), 1);
  const sent = () => database.query(`select 1 from mail_outbox where state = 'sent'`);
  while ((await sent()).length === 0) {
    await Promise.all(dispatchers.map((each) => each.run()));
    await sleep(100);
  }
  expect(sink.mails).toHaveLength(1);
}, 20_000);

test('a stopping dispatcher gives back the mails that it has not sent, without an attempt', async () => {
  const sink = await startSink();
  sink.state.mode = 'hang';
  const { database, keys, dispatchers } = await openDispatchers(sink.port, { seconds: 120, extendedEvery: 30 });
  const [leaving, staying] = dispatchers;
  await fillQueue(database.query, keys, new Date(), 6);
  await leaving!.run();
  await expect.poll(() => sink.state.tries).toBe(2);
  await leaving!.stop();
  expect(await database.query('select distinct state, attempts from mail_outbox')).toEqual([
    { state: 'queued', attempts: 0 },
  ]);
  sink.state.mode = 'take';
  await staying!.run();
  await expect.poll(() => sink.mails.length, patiently).toBe(6);
}, 20_000);
