// @serializable
import { expect, onTestFinished, test } from 'vitest';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { Dispatcher } from '../../src/mail/dispatcher.ts';
import { Outbox } from '../../src/mail/outbox.ts';
import { Templates } from '../../src/mail/templates.ts';
import { smtpDelivery } from '../../src/mail/transport.ts';
import { look } from '../support/look.ts';
import { ada, asService, bob } from '../support/people.ts';
import { crowd, together } from '../support/race.ts';
import { scrape } from '../support/scrape.ts';
import { type SinkMode, startSink } from '../support/smtp-sink.ts';
import { start, type TestService } from '../support/start.ts';

interface MailRow {
  readonly state: string;
  readonly attempts: number;
  readonly fault: string | null;
  readonly sealed: Buffer | null;
}

const rowsOf = ({ database }: TestService) =>
  database.query<MailRow>('select state, attempts, fault, sealed from mail_outbox order by id');
const statesOf = async (service: TestService) => (await rowsOf(service)).map(({ state }) => state);
const patiently = { timeout: 8000 };

/** A service that sends its mail to a real mail server. */
async function startWithSink(options: Parameters<typeof start>[0] = {}) {
  const sink = await startSink();
  const service = await start({ ...options, env: { ...sink.env, ...options.env } });
  const { auth, admin } = service.clients('json');
  const known = async (person: { email: string; password: string } = ada) => {
    await admin.createUser(person, asService);
    return person;
  };
  const askReset = (email: string = ada.email) => auth.requestPasswordReset({ email });
  return { sink, service, known, askReset };
}

test('a mail reaches its recipient alone, with the configured sender, as text and as HTML', async () => {
  const { sink, service, known, askReset } = await startWithSink();
  await known();
  await askReset();
  await expect.poll(() => sink.mails.length, patiently).toBe(1);
  const [mail] = sink.mails;
  expect(mail).toMatchObject({ from: 'no-reply@gatehouse.test', to: [ada.email] });
  expect(mail!.parsed).toMatchObject({
    from: { address: 'no-reply@gatehouse.test', name: 'Gatehouse' },
    to: [{ address: ada.email }],
    subject: 'Reset your password',
  });
  const link = /http:\/\/gatehouse\.test\/reset-password\?token=ghot_[\w-]{56}(?=\s)/.exec(mail!.parsed.text!)![0];
  expect(mail!.parsed.html).toContain(`<a href="${link}" style=`);
  expect(mail!.parsed.text).toContain('1 hour');
  expect(mail!.raw).toMatch(/^Auto-Submitted: auto-generated\r$/m);
  expect(mail!.parsed.messageId).toMatch(/^<[0-9a-f-]{36}@gatehouse\.test>$/);
  await expect.poll(() => statesOf(service)).toEqual(['sent']);
  expect((await rowsOf(service))[0]).toMatchObject({ sealed: null, attempts: 1 });
  service.ledger.keepSecret(new URL(link).searchParams.get('token')!);
});

test.each<[what: string, mode: SinkMode]>([
  ['refuses it for now', { rcpt: 451 }],
  ['refuses its text for now', { data: 452 }],
  ['hangs up before it has taken it', 'drop untaken'],
])('a mail is sent again, with the same Message-ID and link, when the server %s', async (_, mode) => {
  const { sink, service, known, askReset } = await startWithSink();
  await known();
  sink.state.mode = mode;
  await askReset();
  await expect.poll(async () => (await rowsOf(service))[0]?.fault, patiently).toBeTruthy();
  expect(await statesOf(service)).toEqual(['queued']);
  expect(sink.mails).toEqual([]);
  sink.state.mode = 'take';
  service.pass(31);
  await expect.poll(() => sink.mails.length, patiently).toBe(1);
  await expect.poll(() => statesOf(service)).toEqual(['sent']);
});

test('a mail whose acknowledgement is lost arrives twice, with the same id and a valid link', async () => {
  const { sink, service, known, askReset } = await startWithSink();
  await known();
  sink.state.mode = 'drop';
  await askReset();
  await expect.poll(async () => (await rowsOf(service))[0]?.fault, patiently).toBeTruthy();
  sink.state.mode = 'take';
  service.pass(31);
  await expect.poll(() => sink.mails.length, patiently).toBe(2);
  const [first, second] = sink.mails.map(({ parsed }) => parsed);
  expect([second!.messageId, second!.text]).toEqual([first!.messageId, first!.text]);
  const token = tokenIn(second!.text!);
  expect(await service.clients('json').auth.verifyResetToken({ token })).toMatchObject({ valid: true });
});

test('a mail that the server refuses permanently is given up immediately, loses its content and is counted', async () => {
  const { sink, service, known, askReset } = await startWithSink();
  await known();
  sink.state.mode = { rcpt: 550 };
  await askReset();
  await expect.poll(() => statesOf(service), patiently).toEqual(['dead']);
  expect((await rowsOf(service))[0]).toMatchObject({ fault: '550', sealed: null });
  const scraped = await scrape(service.replicas[0]!);
  expect(scraped.by('outcome', 'gatehouse_mails_total')).toEqual({ sent: 0, retried: 0, dead: 1, cancelled: 0 });
  const line = service.ledger.lines.find((each) => each.includes('a mail was not taken'))!;
  expect(JSON.parse(line)).toMatchObject({ kind: 'password_reset', fault: '550', isDead: true });
  expect(line).not.toContain('ada');
});

test('a call waits for no mail server, whether it is down or silent', async () => {
  const { sink, service, known, askReset } = await startWithSink();
  const down = await start({ env: { SMTP_URL: 'smtp://127.0.0.1:9' } });
  await known();
  sink.state.mode = 'hang';
  const begun = performance.now();
  expect(await askReset()).toEqual(await askReset('nobody@example.org'));
  await down.clients('json').auth.register(bob);
  expect(performance.now() - begun).toBeLessThan(5000);
  await expect.poll(() => sink.state.tries, patiently).toBe(1);
  expect(await statesOf(service)).toEqual(['queued']);
  await expect.poll(async () => (await rowsOf(down))[0]?.fault, patiently).toBe('ESOCKET');
  expect(await statesOf(down)).toEqual(['queued']);
  const told = async () => (await scrape(down.replicas[0]!)).value('gatehouse_mail_queue_length');
  await expect.poll(told, patiently).toBe(1);
});

test("a link's lifetime begins when its mail is sent, even hours later", async () => {
  const { sink, service, known, askReset } = await startWithSink();
  const { auth } = service.clients('json');
  await known();
  sink.state.mode = { rcpt: 451 };
  await askReset();
  await expect.poll(async () => (await rowsOf(service))[0]?.fault, patiently).toBeTruthy();
  service.pass(5 * 3600);
  sink.state.mode = 'take';
  await expect.poll(() => statesOf(service), patiently).toEqual(['sent']);
  const token = tokenIn(sink.mails[0]!.parsed.text!);
  service.pass(3590);
  expect(await auth.verifyResetToken({ token })).toMatchObject({ valid: true, email: ada.email });
  service.pass(20);
  expect(await auth.verifyResetToken({ token })).toMatchObject({ valid: false });
});

test('a mail is not sent when its link is no longer valid', async () => {
  const { sink, service, known, askReset } = await startWithSink();
  await known();
  await known(bob);
  sink.state.mode = { rcpt: 451 };
  await askReset();
  await askReset(bob.email);
  await expect.poll(async () => (await rowsOf(service)).every(({ fault }) => fault), patiently).toBe(true);
  // Ada's link is replaced by a newer one. Bob's mail waits for a day, until his link has expired.
  service.pass(61);
  await askReset();
  // Both attempts have failed and no mail is leased any longer when the server accepts mail again.
  const tried = `select max(attempts) = 2 and bool_and(fault is not null and due_at < $1::timestamptz + interval '1 minute') as all
    from mail_outbox where state = 'queued'`;
  await expect.poll(() => service.database.query(tried, [service.now()]), patiently).toEqual([{ all: true }]);
  sink.state.mode = 'take';
  service.pass(24 * 3600 - 30);
  await expect.poll(() => sink.mails.length, patiently).toBe(1);
  await expect.poll(() => statesOf(service), patiently).toEqual(['cancelled', 'cancelled', 'sent']);
  expect(sink.mails[0]!.to).toEqual([ada.email]);
});

test('mails to one address are sent in order, and mails to others do not wait for them', async () => {
  const { sink, service, known } = await startWithSink();
  const { auth } = service.clients('json');
  await known();
  await known(bob);
  sink.state.mode = { rcpt: 451 };
  await auth.requestPasswordReset({ email: ada.email });
  await expect.poll(async () => (await rowsOf(service))[0]?.fault, patiently).toBeTruthy();
  sink.state.mode = 'take';
  await auth.requestMagicLink({ email: ada.email });
  await auth.requestMagicLink({ email: bob.email });
  await expect.poll(() => sink.mails.length, patiently).toBe(1);
  expect(sink.mails[0]!.to).toEqual([bob.email]);
  service.pass(31);
  await expect.poll(() => sink.mails.length, patiently).toBe(3);
  expect(sink.mails.slice(1).map(({ parsed }) => parsed.subject)).toEqual([
    'Reset your password',
    'Your link to sign in',
  ]);
});

test('two replicas send each of many mails exactly once', async () => {
  const { sink, service, known } = await startWithSink({ replicas: 2 });
  const people = Array.from({ length: 2 * crowd }, (_, n) => ({ email: `p${n}@example.org`, password: ada.password }));
  for (const each of people) await known(each);
  const { errors } = await together(
    (n) => service.clients('json', n).auth.requestMagicLink({ email: people[n]!.email }),
    people.length,
  );
  expect(errors).toEqual([]);
  await expect.poll(async () => (await statesOf(service)).every((each) => each === 'sent'), patiently).toBe(true);
  expect(sink.mails.flatMap(({ to }) => to).toSorted()).toEqual(people.map(({ email }) => email).toSorted());
});

test('a dispatcher that dies after the server accepted a mail causes one duplicate, and no mail is lost', async () => {
  const sink = await startSink();
  const service = await start({ env: { ...sink.env, MAIL_MODE: 'smtp', SMTP_URL: 'smtp://127.0.0.1:9' } });
  const { auth, admin } = service.clients('json');
  await admin.createUser(ada, asService);
  await auth.requestPasswordReset({ email: ada.email });
  await expect.poll(async () => (await rowsOf(service))[0]?.fault, patiently).toBeTruthy();
  service.pass(31);
  const { dispatcher, delivery } = await openDispatcher(service, sink.port);
  const dying = new Dispatcher({ ...dispatcher, delivery: { ...delivery, send: takeAndDie } });
  async function takeAndDie(...mail: Parameters<typeof delivery.send>) {
    await delivery.send(...mail);
    await new Promise(() => {});
  }
  void dying.run();
  await expect.poll(() => sink.mails.length, patiently).toBe(1);
  const successors = [new Dispatcher({ ...dispatcher, delivery }), new Dispatcher({ ...dispatcher, delivery })];
  await Promise.all(successors.map((each) => each.run()));
  expect(sink.mails, 'still leased').toHaveLength(1);
  service.pass(121);
  await Promise.all(successors.map((each) => each.run()));
  await expect.poll(() => statesOf(service), patiently).toEqual(['sent']);
  expect(new Set(sink.mails.map(({ parsed }) => parsed.messageId)).size).toBe(1);
  expect(sink.mails.length).toBeLessThanOrEqual(2);
});

/** The dependencies of a dispatcher of another process on the same database. */
async function openDispatcher({ database, config, now }: TestService, port: number) {
  const orm = await openOrm(database.url);
  onTestFinished(() => orm.close(true));
  const delivery = smtpDelivery({ scheme: 'smtp', host: '127.0.0.1', port, auth: undefined }, config.mail.from);
  onTestFinished(() => delivery.close());
  const outbox = new Outbox(new MasterKeys(config.masterKeys));
  return {
    delivery,
    dispatcher: { outbox, templates: Templates.load('en', look), autocommit: new Autocommit(orm), now, onFault() {} },
  };
}

test('a mail is given up after sixteen attempts', async () => {
  const { sink, service, known, askReset } = await startWithSink({ env: { PASSWORD_RESET_LIFETIME: '1h' } });
  await known();
  sink.state.mode = { rcpt: 451 };
  await askReset();
  const outcomes = async () => (await scrape(service.replicas[0]!)).by('outcome', 'gatehouse_mails_total');
  for (let tried = 1; tried < 16; tried++) {
    await expect.poll(async () => (await outcomes()).retried, patiently).toBe(tried);
    service.pass(3600);
    await askReset(`${tried}@example.org`); // has the queue looked at now, not a second later
  }
  await expect.poll(() => statesOf(service), patiently).toEqual(['dead']);
  expect(sink.state.tries).toBe(16);
}, 40_000);

test('with MAIL_MODE=off no mail is queued, and the responses are the same', async () => {
  const service = await start({ env: { MAIL_MODE: 'off' } });
  const { auth } = service.clients('json');
  await service.welcome();
  expect(await auth.requestPasswordReset({ email: ada.email })).toEqual(
    await auth.requestPasswordReset({ email: bob.email }),
  );
  expect(await rowsOf(service)).toEqual([]);
});

function tokenIn(text: string): string {
  return /\?token=(\S+)/.exec(text)![1]!;
}
