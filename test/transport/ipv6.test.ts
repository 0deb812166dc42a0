import { createConnectTransport } from '@connectrpc/connect-node';
import { expect, onTestFinished, test } from 'vitest';
import { allAddresses } from '../../src/config/network.ts';
import { createDatabase } from '../support/database.ts';
import { grpcTransport } from '../support/grpc-transport.ts';
import { ada, asService, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { clientsOver } from '../support/start.ts';

const { MASTER_KEYS } = testEnv;
const hasIPv6 = allAddresses() === '::';
if (!hasIPv6) console.warn('NOT TRIED: listening on IPv6. This machine has no IPv6 address.');

const portOf = (text: string) => Number(new URL(text.includes('//') ? text : `grpc://${text}`).port);

/** The address that the service sees of a client of this host. */
async function addressSeen(host: string, { grpc, http }: { grpc: string; http: string }): Promise<string[]> {
  const { transport, close } = grpcTransport(`${host}:${portOf(grpc)}`);
  onTestFinished(close);
  const json = createConnectTransport({ baseUrl: `http://${host}:${portOf(http)}`, httpVersion: '1.1' });
  const seen: string[] = [];
  for (const each of [clientsOver(transport), clientsOver(json)]) {
    seen.push((await each.auth.signIn(ada)).session!.address);
  }
  return seen;
}

const listening: { bind: Record<string, string>; clients: Record<string, string> }[] = [
  { bind: { BIND_ADDRESS: '::1' }, clients: { '[::1]': '::1' } },
  { bind: { BIND_ADDRESS: '::', DEV_EXPOSE: 'yes' }, clients: { '[::1]': '::1', '127.0.0.1': '127.0.0.1' } },
  { bind: { DEV_EXPOSE: 'yes' }, clients: { '[::1]': '::1', '127.0.0.1': '127.0.0.1' } },
];

test.runIf(hasIPv6).each(listening.flatMap((each) => ['1', '2'].map((workers) => ({ ...each, workers }))))(
  'with $bind and WORKERS=$workers all ports serve $clients',
  async ({ bind, clients, workers }) => {
    const { url } = await createDatabase();
    const { ready, clients: first } = await serve({ MASTER_KEYS, DATABASE_URL: url, WORKERS: workers, ...bind });
    await first.json.admin.createUser(ada, asService);
    for (const [host, address] of Object.entries(clients)) {
      expect(await addressSeen(host, ready), host).toEqual([address, address]);
      expect((await fetch(`http://${host}:${portOf(ready.admin)}/readyz`)).status, host).toBe(200);
    }
  },
);
