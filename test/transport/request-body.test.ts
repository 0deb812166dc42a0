import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { readBody } from '../../src/http/request-body.ts';

/** The request of a client that has sent a part of the body, and its socket. */
async function begun() {
  const server = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {});
  client.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc');
  const [request] = (await once(server, 'request')) as [IncomingMessage];
  return { request, client };
}

test('a body is refused whose client has left before it is read', async () => {
  const { request, client } = await begun();
  client.destroy();
  await expect.poll(() => request.destroyed).toBe(true);
  await expect(readBody(request, 1000)).rejects.toMatchObject({ reason: 'CANCELED' });
});

test('a body is refused whose client leaves while it is read', async () => {
  const { request, client } = await begun();
  const reading = readBody(request, 1000);
  client.destroy();
  await expect(reading).rejects.toThrow();
});

test('a body is refused that is larger than it may be, before it has arrived', async () => {
  const { request, client } = await begun();
  onTestFinished(() => void client.destroy());
  await expect(readBody(request, 99)).rejects.toMatchObject({ reason: 'REQUEST_TOO_LARGE' });
});
