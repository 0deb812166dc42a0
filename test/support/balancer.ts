import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { onTestFinished } from 'vitest';

interface Backend {
  readonly host: string;
  readonly port: number;
  /** The URL that says whether the backend takes connections. */
  readonly probe: string;
}

/**
 * A TCP load balancer: a new connection goes to the next backend whose probe succeeded last. Returns its port. Closed after
 * the test.
 */
export async function startBalancer(backends: readonly Backend[]): Promise<number> {
  const ready = new Set<Backend>(backends);
  const probeAll = () =>
    Promise.all(
      backends.map(async (each) => {
        const isReady = await fetch(each.probe)
          .then(({ ok }) => ok)
          .catch(() => false);
        if (isReady) ready.add(each);
        else ready.delete(each);
      }),
    );
  const probing = setInterval(probeAll, 100);
  let connections = 0;
  const server = createServer((client) => {
    const candidates = backends.filter((each) => ready.has(each));
    const { host, port } = candidates[connections++ % candidates.length]!;
    const backend = connect(port, host);
    client.on('error', () => backend.destroy()).pipe(backend);
    backend.on('error', () => client.destroy()).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    clearInterval(probing);
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
