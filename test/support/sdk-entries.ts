import { onTestFinished } from 'vitest';
import * as node from '../../src/sdk/node.ts';
import type { CallDefaults, Clients, Interceptor } from '../../src/sdk/surface.ts';
import * as web from '../../src/sdk/web.ts';

export type Entry = 'node' | 'web';
export const entries = ['node', 'web'] as const;

export interface Ports {
  readonly grpcPort: number;
  readonly httpPort: number;
}

interface Options extends CallDefaults {
  readonly interceptors?: readonly Interceptor[];
}

/** The SDK's clients for a replica, through one of its entry points. Closed when the test has finished. */
export function open(entry: Entry, { grpcPort, httpPort }: Ports, options: Options = {}): Clients {
  if (entry === 'web') return web.createGatehouse({ baseUrl: `http://127.0.0.1:${httpPort}`, ...options });
  return openNode(`127.0.0.1:${grpcPort}`, options);
}

export function openNode(address: string, options: Partial<node.GatehouseOptions> = {}): node.Gatehouse {
  const gatehouse = node.createGatehouse({ address, tls: false, ...options });
  onTestFinished(() => gatehouse.close());
  return gatehouse;
}

/** The error of a call that must fail, and its milliseconds. */
export async function failureOf(call: Promise<unknown>): Promise<{ error: node.ConnectError; after: number }> {
  const start = performance.now();
  const error = await call.then(
    () => Promise.reject(new Error('the call succeeded')),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof node.ConnectError)) throw error;
  return { error, after: performance.now() - start };
}
