import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, Server as NetServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Answers with the port it listens on. */
export async function listenHttp(server: Server, host: string, port: number): Promise<number> {
  server.listen(port, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Lets the calls under way end, until the signal cuts them off. */
export async function drainHttp(server: Server, cutOff: AbortSignal): Promise<void> {
  const force = () => setTimeout(() => server.closeAllConnections(), 100);
  cutOff.addEventListener('abort', force, { once: true });
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A connection that is kept alive becomes idle with its last answer, and would then stay for a minute.
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  await closed;
  clearInterval(idle);
  cutOff.removeEventListener('abort', force);
}

/**
 * Drains a server whose port others go on serving. A connection that is kept alive ends with its next answer, and not
 * while nothing is asked, when a question may be on its way: its sender would see a reset, and could not know whether
 * the call was made. Those that are not used for a second end as in any drain.
 */
export async function handOverHttp(server: Server, cutOff: AbortSignal): Promise<void> {
  server.prependListener('request', (_, res) => res.setHeader('connection', 'close'));
  // The close of an HTTP server would end them at once.
  NetServer.prototype.close.call(server);
  await sleep(1000, undefined, { signal: cutOff }).catch(() => {});
  await drainHttp(server, cutOff);
}
