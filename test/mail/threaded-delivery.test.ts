import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect, onTestFinished, test, vi } from 'vitest';
import { DeliveryFault } from '../../src/mail/delivery.ts';
import { threadedDelivery } from '../../src/mail/threaded-delivery.ts';
import type { SmtpServer } from '../../src/mail/transport.ts';
import { ada } from '../support/people.ts';
import { startSink } from '../support/smtp-sink.ts';

const sender = { name: 'Gatehouse', address: 'no-reply@gatehouse.test' };
const mail = {
  id: '019a0000-0000-7000-8000-000000000001',
  recipient: ada.email,
  subject: 'Your link',
  text: 'open it',
  html: '<p>open it</p>',
  createdAt: new Date(0),
};

const outcomeOf = (call: Promise<void>) =>
  call.then(
    () => 'sent',
    (error: unknown) => error,
  );

async function deliverToSink() {
  const sink = await startSink();
  const delivery = threadedDelivery({ scheme: 'smtp', host: '127.0.0.1', port: sink.port, auth: undefined }, sender);
  onTestFinished(() => delivery.close());
  return { sink, delivery, send: (n = 0) => outcomeOf(delivery.send({ ...mail, id: `${mail.id}-${n}` })) };
}

test('a mail is sent by another thread, with the same text and the same connection for the next one', async () => {
  const { sink, send } = await deliverToSink();
  expect([await send(1), await send(2)]).toEqual(['sent', 'sent']);
  expect(sink.state.connections).toBe(1);
  expect(sink.mails.map(({ parsed }) => parsed.messageId)).toEqual(
    [1, 2].map((n) => `<${mail.id}-${n}@gatehouse.test>`),
  );
  expect(sink.mails[0]).toMatchObject({ from: sender.address, to: [ada.email] });
  expect(sink.mails[0]!.parsed).toMatchObject({
    subject: mail.subject,
    text: `${mail.text}\n`,
    date: expect.anything(),
  });
  expect(new Date(sink.mails[0]!.parsed.date!)).toEqual(mail.createdAt);
});

test('a refusal arrives with its code, whether it is final or not', async () => {
  const { sink, send } = await deliverToSink();
  const refused = [];
  for (const mode of [{ rcpt: 550 }, { data: 451 }, 'take'] as const) {
    sink.state.mode = mode;
    refused.push(await send());
  }
  expect(refused).toMatchObject([{ code: '550', verdict: 'final' }, { code: '451', verdict: 'not sent' }, 'sent']);
  expect(refused[0]).toBeInstanceOf(DeliveryFault);
});

test('close ends the attempts under way, and refuses further ones', async () => {
  const { sink, delivery, send } = await deliverToSink();
  sink.state.mode = 'hang';
  const underWay = send();
  await expect.poll(() => sink.state.tries, { timeout: 10_000 }).toBe(1);
  delivery.close();
  expect(await underWay).toMatchObject({ code: 'ECONNECTION', verdict: 'not sent' });
  expect(await send()).toMatchObject({ code: 'ECONNECTION', verdict: 'not sent' });
});

test('an unfit mail fails alone', async () => {
  const { delivery, send } = await deliverToSink();
  const unfit = { ...mail, recipient: 7 as unknown as string };
  expect(await outcomeOf(delivery.send(unfit))).toBeInstanceOf(DeliveryFault);
  expect(await send()).toBe('sent');
});

test('mails of a thread that could not start were not sent, and the next one starts another thread', async () => {
  // The thread fails when it reads its settings.
  const delivery = threadedDelivery(undefined as unknown as SmtpServer, sender);
  const failed = { code: 'MAIL_THREAD_ENDED', verdict: 'not sent', cause: expect.any(Error) };
  const underWay = [delivery.send(mail), delivery.send(mail)].map(outcomeOf);
  expect(await Promise.all(underWay)).toMatchObject([failed, failed]);
  expect(await outcomeOf(delivery.send(mail))).toMatchObject(failed);
});

test('mails under way when the thread ends may have been sent, and the next one starts another thread', async () => {
  const { sink, send } = await deliverToSink();
  const posted = vi.spyOn(Worker.prototype, 'postMessage');
  onTestFinished(() => posted.mockRestore());
  sink.state.mode = 'hang';
  const underWay = send();
  await expect.poll(() => sink.state.tries, { timeout: 10_000 }).toBe(1);
  const [thread] = posted.mock.contexts as Worker[];
  await thread!.terminate();
  expect(await underWay).toMatchObject({ code: 'MAIL_THREAD_ENDED', verdict: 'maybe sent' });
  sink.state.mode = 'take';
  expect(await send()).toBe('sent');
});

test('the thread delays no exit of the process', () => {
  const module = path.join(import.meta.dirname, '../../src/mail/threaded-delivery.ts');
  const script = `
    import { threadedDelivery } from ${JSON.stringify(module)};
    const server = { scheme: 'smtp', host: '127.0.0.1', port: 1, auth: undefined };
    const delivery = threadedDelivery(server, { name: '', address: 'a@b.example' });
    delivery.send({ id: '1', recipient: 'a@b.example', subject: '', text: '', html: '', createdAt: new Date() }).catch(() => {});`;
  const since = performance.now();
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(performance.now() - since).toBeLessThan(10_000);
});
