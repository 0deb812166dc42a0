import { type ClientHttp2Session, connect, createServer, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { freeEndedStreams } from '../../src/grpc/session-streams.ts';

interface Table {
  readonly size: number;
  get(id: number): unknown;
}

/** A server that answers each stream when the test asks for it, and one client of it. */
async function open() {
  const server = createServer();
  const sessions: Http2Session[] = [];
  const streams: ServerHttp2Stream[] = [];
  server.on('session', freeEndedStreams).on('session', (session) => sessions.push(session));
  server.on('stream', (stream) => streams.push(stream.on('error', () => {})));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(() => {
    client.destroy();
    server.close();
  });
  const ask = async (count: number) => {
    const before = streams.length;
    const requests = Array.from({ length: count }, () => client.request().on('error', () => {}));
    await expect.poll(() => streams.length).toBe(before + count);
    return { requests, streams: streams.slice(before) };
  };
  return { server, client, sessions, ask };
}

function tableOf(session: Http2Session): Table {
  const symbol = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'state')!;
  return (session as unknown as Record<symbol, { streams: Table }>)[symbol]!.streams;
}

async function textOf(request: ReturnType<ClientHttp2Session['request']>): Promise<string> {
  let text = '';
  for await (const part of request) text += part;
  return text;
}

test('a session has the open streams and no others, in whatever order they end', async () => {
  const { sessions, ask } = await open();
  const { requests, streams } = await ask(20);
  const table = tableOf(sessions[0]!);
  expect(table.constructor.name).toBe('OpenStreams');
  expect(table.size).toBe(20);
  expect(table.get(streams[7]!.id!)).toBe(streams[7]);
  for (const n of [7, 0, 19]) {
    streams[n]!.end(`${n}`);
    expect(await textOf(requests[n]!)).toBe(`${n}`);
  }
  requests[3]!.close(8);
  await expect.poll(() => table.size).toBe(16);
  expect(table.get(streams[7]!.id!)).toBeUndefined();
  const later = await ask(2);
  later.streams[1]!.end('later');
  expect(await textOf(later.requests[1]!)).toBe('later');
  expect(table.get(later.streams[0]!.id!)).toBe(later.streams[0]);
});

test('a session that is closed waits for its streams, and one that is destroyed ends them', async () => {
  const { sessions, ask, client } = await open();
  const { requests, streams } = await ask(3);
  const closed = new Promise((resolve) => sessions[0]!.once('close', resolve));
  sessions[0]!.close();
  await turn();
  expect(sessions[0]!.destroyed).toBe(false);
  for (const [n, stream] of streams.entries()) {
    stream.end('done');
    expect(await textOf(requests[n]!)).toBe('done');
  }
  await closed;
  client.destroy();
  const other = await open();
  const open3 = await other.ask(3);
  other.sessions[0]!.destroy();
  await expect.poll(() => open3.streams.every(({ destroyed }) => destroyed)).toBe(true);
});
