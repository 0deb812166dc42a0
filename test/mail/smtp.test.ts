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

test.each([
  ['offers no TLS', {}],
  ['shows a certificate that nobody trusts', { startTls: true }],
])('a remote server that %s receives no mail', async (_, options) => {
  const sink = await startSink(options);
  // 127.1 leads to this machine, but is not recognized as local.
  const delivery = smtpDelivery({ scheme: 'smtp', host: '127.1', port: sink.port, auth: undefined }, sender);
  onTestFinished(() => delivery.close());
  const sent = delivery.send(mail).catch((error: unknown) => error);
  expect(await sent).toBeInstanceOf(DeliveryFault);
  expect(await sent).toMatchObject({ verdict: 'not sent' });
  expect(sink.mails).toEqual([]);
});
