import { Code } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { ada } from './people.ts';
import { refusalOf } from './refusal.ts';
import { scrape } from './scrape.ts';
import { startSink } from './smtp-sink.ts';
import { start, wires } from './start.ts';

const patiently = { timeout: 15_000 };
const password = 'a phrase of her own';

test.each(wires)('over %s a mail goes to the address as it is stored, byte for byte, however odd', async (wire) => {
  const sink = await startSink();
  const service = await start({ env: sink.env });
  const { auth } = service.clients(wire);
  const odd = [
    "o'Hara+tag@example.org",
    'Ada.Lovelace@Example.ORG',
    '!#$%&*/=?^_`{|}~-@example.org',
    `${'l'.repeat(64)}@example.org`,
  ];
  for (const email of odd) await auth.register({ email, password });
  await expect.poll(() => sink.mails.length, patiently).toBe(odd.length);
  const stored = await service.database.query<{ email: string }>('select email from users');
  expect(stored.map(({ email }) => email).sort()).toEqual(odd.toSorted());
  // The case of a domain means nothing, and nodemailer does not keep it.
  const sent = odd.map((email) => email.replace(/[^@]+$/, (domain) => domain.toLowerCase()));
  expect(sink.mails.flatMap(({ to }) => to).sort()).toEqual(sent.toSorted());
});

test('a mail whose address would become another one on its way is not sent', async () => {
  const sink = await startSink();
  const service = await start({ env: sink.env });
  const { auth } = service.clients('json');
  for (const email of ['ada@127.1', 'ada@0x7f.1', 'ada@2130706433']) await auth.register({ email, password });
  const ended = () => service.database.query('select state, fault from mail_outbox');
  await expect.poll(ended, patiently).toEqual(Array(3).fill({ state: 'dead', fault: 'EADDRESS' }));
  expect(sink.state.tries).toBe(0);
});

test.each(wires)('over %s what could mean another address to a mail server is none', async (wire) => {
  const sink = await startSink();
  const service = await start({ env: sink.env });
  const { auth } = service.clients(wire);
  for (const email of [
    '"quoted local"@example.org',
    'ada(comment)@example.org',
    'ada@example.org\r\nRCPT TO:<eve@example.org>',
    'ada@example.org,eve@example.org',
    'ada@example.org eve@example.org',
    '<ada@example.org>',
    'ada@b\u00adücher.example',
    'ada@example\u200b.org',
  ])
    expect((await refusalOf(auth.register({ email, password }))).code, email).toBe(Code.InvalidArgument);
  expect(await service.database.query('select from mail_outbox')).toEqual([]);
});

test('a server elsewhere that lost its TLS is told nothing, however often, and the mail waits for it', async () => {
  const sink = await startSink();
  // Leads here like any name, and is not known to be local.
  const service = await start({ env: { ...sink.env, SMTP_URL: `smtp://0.0.0.0:${sink.port}` } });
  await service.clients('json').auth.register(ada);
  const retried = async () => (await scrape(service.replicas[0]!)).by('outcome', 'gatehouse_mails_total').retried;
  for (let tried = 1; tried <= 3; tried++) {
    await expect.poll(retried, patiently).toBe(tried);
    service.pass(3600);
  }
  const waits = `select from mail_outbox where state = 'queued' and sealed is not null`;
  expect(await service.database.query(waits)).toHaveLength(1);
  expect(sink.state.tries, 'nobody was named').toBe(0);
  expect(sink.mails).toEqual([]);
});
