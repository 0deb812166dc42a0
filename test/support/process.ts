import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createConnectTransport } from '@connectrpc/connect-node';
import { onTestFinished } from 'vitest';
import { grpcTransport } from './grpc-transport.ts';
import { testEnv } from './people.ts';
import { clientsOver } from './start.ts';

const main = path.join(import.meta.dirname, '../../src/main.ts');
// Saves each process after the first half of its CPU time.
const compileCache = path.join(import.meta.dirname, '../../node_modules/.cache/compiled');

/** The settings of processes under test: small and cheap, on free ports, without our own environment. */
const { MASTER_KEYS: _, ...defaults } = testEnv;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

type LogLine = Record<string, unknown> & { msg?: string };

export type Process = ReturnType<typeof launch>;

/** Runs `node src/main.ts` with these arguments and settings, at most until the test has finished. */
export function launch(args: readonly string[] = [], env: Record<string, string> = {}, file = main) {
  const child: ChildProcess = spawn(process.execPath, [file, ...args], {
    cwd: '/',
    env: { PATH: process.env.PATH!, NODE_COMPILE_CACHE: compileCache, ...defaults, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout!.on('data', (bytes) => (output.stdout += bytes));
  child.stderr!.on('data', (bytes) => (output.stderr += bytes));
  const ended: Promise<Ended> = once(child, 'close').then(([code, signal]) => ({ code, signal }) as Ended);
  const log = () =>
    output.stdout
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    output,
    log,
    ended,
    pid: child.pid!,
    stdout: child.stdout!,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    /** Sends a signal, and waits for the exit. */
    async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
      child.kill(signal);
      return ended;
    },
    /** Waits for a line of the log. Fails when the process exits before. */
    async says(message: string): Promise<LogLine> {
      for (;;) {
        const line = log().find(({ msg }) => msg === message);
        if (line) return line;
        const more = once(child.stdout!, 'data');
        const early = await Promise.race([more.then(() => undefined), ended]);
        if (early) throw new Error(`ended with ${early.code ?? early.signal}: ${output.stderr}${output.stdout}`);
      }
    },
  };
}

/** Starts the service, or another build of it, and waits until it is ready. */
export async function serve(env: Record<string, string> = {}, file = main) {
  const launched = launch(['serve'], env, file);
  const ready = (await launched.says('ready')) as {
    grpc: string;
    http: string;
    admin: string;
    database: string;
    time: string;
  };
  const grpc = grpcTransport(ready.grpc);
  onTestFinished(grpc.close);
  const json = createConnectTransport({ baseUrl: ready.http, httpVersion: '1.1' });
  return {
    ...launched,
    ready,
    clients: { grpc: clientsOver(grpc.transport), json: clientsOver(json) },
    get: async (route: string) => fetch(`${ready.http}${route}`),
  };
}

/** Runs a command to its end. */
export async function run(args: readonly string[], env: Record<string, string> = {}) {
  const { ended, output } = launch(args, env);
  return { ...(await ended), ...output };
}

/** A directory for the data of a process. Removed after the test. */
export function newDataDir(): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-data-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return path.join(dir, 'data');
}
