import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

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
