import { expect, onTestFinished, test } from 'vitest';
import { DeliveryFault } from '../../src/mail/delivery.ts';
import { smtpDelivery } from '../../src/mail/transport.ts';
import { ada } from '../support/people.ts';
import { startSink } from '../support/smtp-sink.ts';

const sender = { name: '', address: 'no-reply@gatehouse.test' };
const mail = {
  id: '019a0000-0000-7000-8000-000000000001',
  recipient: ada.email,
  subject: 's',
  text: 't',
  html: 'h',
  createdAt: new Date(0),
};

test('an attempt times out when the server is silent, and may be repeated', async () => {
  const sink = await startSink();
  sink.state.mode = 'hang';
  const delivery = smtpDelivery({ scheme: 'smtp', host: '127.0.0.1', port: sink.port, auth: undefined }, sender);
  onTestFinished(() => delivery.close());
  const sent = delivery.send(mail, AbortSignal.timeout(200)).catch((error: unknown) => error);
  expect(await sent).toMatchObject({ code: 'TIMEOUT', isFinal: false });
});

test('a mail that was aborted while it waited behind others is not sent later', async () => {
  const sink = await startSink();
  sink.state.mode = 'hang';
  const delivery = smtpDelivery({ scheme: 'smtp', host: '127.0.0.1', port: sink.port, auth: undefined }, sender);
  onTestFinished(() => delivery.close());
  const send = (n: number, signal: AbortSignal) =>
    delivery.send({ ...mail, id: `${n}`, recipient: `p${n}@example.org` }, signal).catch((error: unknown) => error);
  const ahead = new AbortController();
  const busy = Array.from({ length: 5 }, (_, n) => send(n, ahead.signal));
  await expect.poll(() => sink.state.tries).toBe(5);
  const given = new AbortController();
  const queued = send(5, given.signal);
  given.abort();
  expect(await queued).toMatchObject({ code: 'TIMEOUT' });
  sink.state.mode = 'take';
  ahead.abort();
  await Promise.all(busy);
  expect(await send(6, new AbortController().signal)).toBeUndefined();
  expect(sink.mails.flatMap(({ to }) => to)).toEqual(['p6@example.org']);
});

test.each([
  ['offers no TLS', {}],
  ['shows a certificate that nobody trusts', { startTls: true }],
])('a remote server that %s receives no mail', async (_, options) => {
  const sink = await startSink(options);
  // 127.1 leads to this machine, but is not recognized as local.
  const delivery = smtpDelivery({ scheme: 'smtp', host: '127.1', port: sink.port, auth: undefined }, sender);
  onTestFinished(() => delivery.close());
  const sent = delivery.send(mail, AbortSignal.timeout(5000)).catch((error: unknown) => error);
  expect(await sent).toBeInstanceOf(DeliveryFault);
  expect(await sent).toMatchObject({ isFinal: false });
  expect(sink.mails).toEqual([]);
});
