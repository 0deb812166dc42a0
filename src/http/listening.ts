import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, Server as NetServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves with the port that the server listens on. */
export async function listenHttp(server: Server, host: string, port: number): Promise<number> {
  server.listen(port, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Waits for the calls in flight to end, until the signal is aborted. */
export async function drainHttp(server: Server, cutOff: AbortSignal): Promise<void> {
  const force = () => setTimeout(() => server.closeAllConnections(), 100);
  if (cutOff.aborted) force();
  else cutOff.addEventListener('abort', force, { once: true });
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A kept-alive connection becomes idle with its last response, and would then stay open for a minute.
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  await closed;
  clearInterval(idle);
  cutOff.removeEventListener('abort', force);
}

/** From now on each response closes its connection, so that kept-alive clients connect to another replica or worker. */
export function closeAfterResponses(server: Server): void {
  server.prependListener('request', (_, res) => res.setHeader('connection', 'close'));
}

/**
 * Drains a server after `closeAfterResponses`. Closing an idle connection at once could reset a request that is on its way,
 * and the client could not know whether the call was made. Connections that stay idle for a second are closed as in any
 * drain.
 */
export async function handOverHttp(server: Server, cutOff: AbortSignal): Promise<void> {
  // http.Server.close would close idle connections at once.
  NetServer.prototype.close.call(server);
  for (let waited = 0; waited < 1000 && !cutOff.aborted && (await hasConnections(server)); waited += 50)
    await sleep(50, undefined, { signal: cutOff }).catch(() => {});
  await drainHttp(server, cutOff);
}

function hasConnections(server: Server): Promise<boolean> {
  return new Promise((resolve) => server.getConnections((error, count) => resolve(!error && count > 0)));
}
