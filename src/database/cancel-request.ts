import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { DatabaseClient } from './client.ts';
import { faultOf } from './sqlstate.ts';

/** Milliseconds that a cancel request may take. */
const patience = 1000;
/** Milliseconds until the request is repeated: it may have arrived before the statement. */
const pause = 250;

const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

/**
 * Runs a statement of this connection. When the signal is aborted, the statement is cancelled in the database, and the
 * signal's reason is thrown.
 */
export async function untilAborted<T>(client: DatabaseClient, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  // Aborting a controller costs a stack trace, so there is one only for a statement that is cancelled.
  const cancelled: { ending: AbortController; done: Promise<void> }[] = [];
  const cancel = (): void => {
    const ending = new AbortController();
    cancelled.push({ ending, done: cancelUntil(client, ending.signal) });
  };
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await run();
  } catch (error) {
    throw signal.aborted && faultOf(error) === 'timeout' ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', cancel);
    for (const { ending, done } of cancelled) {
      ending.abort();
      // Race: if the connection were returned earlier, the next call's statement might be cancelled.
      await done;
    }
  }
}

/** Cancels until the statement has ended. Afterwards no request is on its way, or the connection is closed. */
async function cancelUntil(client: DatabaseClient, hasEnded: AbortSignal): Promise<void> {
  let isProcessed = false;
  while (!hasEnded.aborted) {
    isProcessed = await cancelStatement(client);
    if (!hasEnded.aborted) await sleep(pause, undefined, { signal: hasEnded }).catch(() => {});
  }
  if (!isProcessed) client.discard();
}

/**
 * Asks the host of the connection to cancel its running statement, over a second connection, as the protocol defines it.
 * Poolers pass such a request on to the server that runs the statement. True when the host has closed that connection: it
 * does so after it has processed the request. False when it may still process it.
 */
export async function cancelStatement(client: DatabaseClient): Promise<boolean> {
  const { host, port } = client.attempt;
  const address = { host: client.remoteAddress ?? host, port };
  const socket = connect(host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : address);
  socket.on('error', () => {});
  const signal = AbortSignal.timeout(patience);
  try {
    const secured = await secure(socket, client, signal);
    secured.write(cancelRequest(client));
    secured.resume();
    await once(secured, 'close', { signal });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function secure(socket: Socket, { attempt: { tls } }: DatabaseClient, signal: AbortSignal): Promise<Socket> {
  await once(socket, 'connect', { signal });
  if (!tls) return socket;
  socket.write(sslRequest);
  const [response] = (await once(socket, 'data', { signal })) as [Buffer];
  if (response.toString('latin1') !== 'S') throw new Error('no TLS');
  const secured = connectTls({ ...tls, socket });
  secured.on('error', () => {});
  await once(secured, 'secureConnect', { signal });
  return secured;
}

/** The code of the request is 1234 and 5678. */
function cancelRequest(client: DatabaseClient): Buffer {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
  const request = Buffer.alloc(16);
  request.writeInt32BE(16, 0);
  request.writeInt32BE((1234 << 16) | 5678, 4);
  request.writeInt32BE(processID, 8);
  request.writeInt32BE(secretKey, 12);
  return request;
}
