import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { DeliveryFault } from '../../src/mail/delivery.ts';
import { rfcTimeouts } from '../../src/mail/smtp-session.ts';
import { smtpDelivery } from '../../src/mail/transport.ts';
import { ada } from '../support/people.ts';
import { type SinkMode, startSink } from '../support/smtp-sink.ts';

const sender = { name: '', address: 'no-reply@gatehouse.test' };
const mail = {
  id: '019a0000-0000-7000-8000-000000000001',
  recipient: ada.email,
  subject: 's',
  text: 't',
  html: 'h',
  createdAt: new Date(0),
};
const nth = (n: number) => ({ ...mail, id: `${n}`, recipient: `p${n}@example.org` });
const short = { connect: 1000, greeting: 1000, command: 1000, text: 1000, end: 1000 };

function deliverTo(port: number, timeouts = rfcTimeouts, host = '127.0.0.1') {
  const delivery = smtpDelivery({ scheme: 'smtp', host, port, auth: undefined }, sender, timeouts);
  onTestFinished(() => delivery.close());
  const send = (each = mail) =>
    delivery.send(each).then(
      () => 'sent',
      (error: unknown) => error,
    );
  return { delivery, send };
}

/** A server of the lines that it is given: one for the greeting and one for each line of the client, until silence. */
async function startScript(...lines: readonly string[]) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const left = [...lines];
    const respond = () => {
      const line = left.shift();
      if (line !== undefined) socket.write(`${line}\r\n`);
    };
    sockets.add(socket);
    respond();
    let isText = false;
    socket.on('data', (data) => {
      for (const line of `${data}`.split('\r\n').filter(Boolean)) {
        if (!isText || line === '.') respond();
        if (line === 'DATA' || line === '.') isText = line === 'DATA';
      }
    });
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const dialogue = ['220 hello', '250 hello', '250 sender', '250 recipient', '354 go on'];

test.each([
  ['the greeting', 0, 'not sent'],
  ['the response to EHLO', 1, 'not sent'],
  ['the response to MAIL FROM', 2, 'not sent'],
  ['the response to RCPT TO', 3, 'not sent'],
  ['the response to DATA', 4, 'not sent'],
  ['the response to the end of the text', 5, 'maybe sent'],
])('an attempt ends when a server withholds %s', async (_, lines, verdict) => {
  const { send } = deliverTo(await startScript(...dialogue.slice(0, lines)), short);
  const startedAt = performance.now();
  expect(await send()).toMatchObject({ code: 'ETIMEDOUT', verdict });
  expect(performance.now() - startedAt).toBeGreaterThan(900);
});

test('a server has as long as RFC 5321 grants for each response', () => {
  const minute = 60_000;
  expect(rfcTimeouts).toMatchObject({ greeting: 5 * minute, command: 5 * minute, text: 3 * minute, end: 10 * minute });
});

test('a server that accepts a mail later than it may respond to a command receives it once', async () => {
  const sink = await startSink();
  sink.state.mode = { late: 1200 };
  const { send } = deliverTo(sink.port, { ...short, end: 5000 });
  expect(await send()).toBe('sent');
  expect(sink.mails).toHaveLength(1);
});

test('closing the delivery ends an attempt, and its mail is not sent later', async () => {
  const sink = await startSink();
  sink.state.mode = 'hang';
  const { delivery, send } = deliverTo(sink.port);
  const sent = send();
  await expect.poll(() => sink.state.tries).toBe(1);
  delivery.close();
  expect(await sent).toMatchObject({ code: 'ECONNECTION', verdict: 'not sent' });
  sink.state.mode = 'take';
  expect(await send()).toMatchObject({ code: 'ECONNECTION' });
  expect(sink.mails).toEqual([]);
});

test.each<[what: string, mode: SinkMode, verdict: string]>([
  ['the sender', { mail: 550 }, 'not sent'],
  ['the sender, without a login', { mail: 530 }, 'not sent'],
  ['the sender, at the recipient', { rcpt: 550, says: '5.1.8 sender address rejected: domain not found' }, 'not sent'],
  ['to relay', { rcpt: 554, says: '5.7.1 relay access denied' }, 'not sent'],
  ['a recipient without a login', { rcpt: 530, says: '5.7.0 authentication required' }, 'not sent'],
  ['the recipient', { rcpt: 550, says: '5.1.1 user unknown' }, 'final'],
  ['the recipient, without a reason', { rcpt: 550 }, 'final'],
  ['the recipient for now', { rcpt: 451 }, 'not sent'],
  ['the text', { data: 554 }, 'final'],
  ['the text for now', { data: 452 }, 'not sent'],
])('a server refuses %s', async (_, mode, verdict) => {
  const sink = await startSink();
  const { send } = deliverTo(sink.port);
  sink.state.mode = mode;
  expect(await send()).toMatchObject({ verdict });
  sink.state.mode = 'take';
  expect(await send()).toBe('sent');
  expect(sink.state.connections, 'the connection stays usable').toBe(1);
});

test('a mail whose connection breaks after its text may have been sent', async () => {
  const sink = await startSink();
  const { send } = deliverTo(sink.port);
  sink.state.mode = 'drop';
  expect(await send()).toMatchObject({ code: 'ECONNECTION', verdict: 'maybe sent' });
});

test('the next mail goes over the same connection', async () => {
  const sink = await startSink();
  const { send } = deliverTo(sink.port);
  for (let n = 0; n < 3; n++) expect(await send(nth(n))).toBe('sent');
  expect(sink.state.connections).toBe(1);
});

test('a mail is sent at once when the server has closed the idle connection', async () => {
  const sink = await startSink();
  const { send } = deliverTo(sink.port);
  for (let n = 0; n < 5; n++) {
    expect(await send(nth(n))).toBe('sent');
    sink.hangUp();
    // Before and after this process notices.
    if (n % 2) await sleep(50);
  }
  expect(sink.mails.map(({ to }) => to[0])).toEqual([0, 1, 2, 3, 4].map((n) => nth(n).recipient));
  expect(sink.state.connections).toBe(5);
});

test.each([
  ['says nothing more', []],
  ['responds with 421 to the next mail', ['421 too many mails on this connection']],
  ['responds with 421 to the next recipient', ['250 sender', '421 closing']],
])('a mail is sent over a new connection when a used one %s', async (_, second) => {
  const port = await startScript(...dialogue, '250 accepted', ...second);
  const { send } = deliverTo(port, short);
  expect(await send(nth(1))).toBe('sent');
  expect(await send(nth(2))).toBe('sent');
});

test.each([
  ['offers no TLS', {}],
  ['shows a certificate that nobody trusts', { startTls: true }],
])('a remote server that %s receives no mail', async (_, options) => {
  const sink = await startSink(options);
  // 127.1 leads to this machine, but is not recognized as local.
  const { send } = deliverTo(sink.port, rfcTimeouts, '127.1');
  const sent = await send();
  expect(sent).toBeInstanceOf(DeliveryFault);
  expect(sent).toMatchObject({ verdict: 'not sent' });
  expect(sink.mails).toEqual([]);
});
