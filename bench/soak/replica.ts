import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { createConnectTransport } from '@connectrpc/connect-node';
import { type Clients, createClients } from '../../src/sdk/clients.ts';
import { openChannel } from '../../src/sdk/grpc-channel.ts';
import { createGrpcTransport } from '../../src/sdk/grpc-transport.ts';
import type { Findings } from './findings.ts';

export type Wire = 'grpc' | 'json';

/** One process of the service, which is killed, paused and started again on the same ports. */
export class Replica {
  readonly name: string;
  readonly #env: Record<string, string>;
  readonly #findings: Findings;
  #child: ChildProcess | undefined;
  #clients: Record<Wire, Clients> | undefined;
  #isEnding = false;

  constructor(name: string, env: Record<string, string>, findings: Findings) {
    this.name = name;
    this.#env = env;
    this.#findings = findings;
  }

  get isRunning(): boolean {
    return this.#clients !== undefined;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** Fails while the replica is down. */
  clients(wire: Wire): Clients {
    if (!this.#clients) throw new Error(`${this.name} is down`);
    return this.#clients[wire];
  }

  async start(): Promise<void> {
    this.#isEnding = false;
    const env = { ...process.env, ...this.#env };
    const child = spawn(process.execPath, ['src/main.ts'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    const kill = () => void child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', (code, signal) => {
      process.off('exit', kill);
      this.#clients = undefined;
      if (!this.#isEnding) this.#findings.violate(`${this.name} ended by itself with ${code ?? signal}`);
    });
    createInterface({ input: child.stderr! }).on('line', (line) => this.#findings.stderr(`${this.name}: ${line}`));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const entry = this.#findings.logLine(this.name, line);
      if (entry?.msg !== 'ready') return;
      this.#connect(`${entry.grpc}`, `${entry.http}`);
      resolve();
    });
    child.once('exit', () => reject(new Error(`${this.name} did not start`)));
    await promise;
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    this.#isEnding = true;
    const ended = once(child, 'exit');
    if (signal === 'SIGKILL') this.#clients = undefined;
    child.kill(signal);
    await ended;
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child!.kill(signal);
  }

  #connect(grpc: string, http: string): void {
    const channel = openChannel({ address: grpc, tls: false });
    this.#clients = {
      grpc: createClients(createGrpcTransport(channel, [])),
      json: createClients(createConnectTransport({ baseUrl: http, httpVersion: '1.1' })),
    };
    this.#child!.once('exit', () => channel.close());
  }
}

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
