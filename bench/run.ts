import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { measureBacklog } from './backlog.ts';
import { draw } from './draw.ts';
import { Caller, type Chain, type Load, offer, percentile, saturate } from './generator.ts';
import { measureGrowth } from './growth.ts';
import { measureImport } from './imports.ts';
import { JsonCaller } from './json-caller.ts';
import { polls, seedLogins } from './logins.ts';
import { measureMails } from './mails.ts';
import { help, readOptions } from './options.ts';
import { measurePrices } from './prices.ts';
import { cpuOf, memoryOf, startChild } from './processes.ts';
import { hashing, scenarios } from './scenarios.ts';
import { openStage, type Stage } from './stage.ts';
import { statementRate } from './statement.ts';
import { measureStorm } from './storm.ts';
import { measureStreams } from './streams.ts';
import { measureTrail } from './trail.ts';
import type { Scenario } from './wire.ts';

/* npm run bench. bench/README.md describes the measurements and the options. */
const {
  rounds,
  seconds,
  only,
  largest,
  mails,
  backlog: backlogOf,
  lines,
  events,
  streams,
  logins,
  isShort,
  isHelp,
} = readOptions();
if (isHelp) {
  process.stdout.write(help);
  process.exit();
}
/** Seconds until V8 has compiled the hot functions: about ten thousand calls. Echoes reach that number sooner. */
const warmUp = isShort ? 1 : 15;
const sessions = 10_000;

interface Measured {
  readonly rate: number;
  /** Microseconds of CPU per call. */
  readonly appCpu: number;
  readonly databaseCpu: number;
  readonly generatorCpu: number;
}

export interface Row {
  readonly name: string;
  readonly rate: number;
  readonly limit: string;
  readonly limitRate: number;
  readonly ratio: number;
  readonly appCpu: number;
  readonly databaseCpu: number;
  readonly generatorCpu: number;
  /** Milliseconds at half the rate, in an open model, at these percentiles. */
  readonly latency?: Readonly<Record<string, number>>;
}

const isWanted = (name: string) => name.startsWith(only);
const stage = await openStage(sessions);
const idle = await idleMemory(stage);
const rows: Row[] = [];
for (const { name, kind } of polls) if (isWanted(name)) await seedLogins(stage.database, kind);
for (const each of [...scenarios, ...polls].filter(({ name }) => isWanted(name)))
  rows.push(...(await measureAgainstEcho(each)));
const cores = cpus().length;
for (const hashes of [cores, Math.max(1, cores - 1)])
  for (const scenario of hashing(hashes))
    if (isWanted(scenario.name)) rows.push(await measureAgainstHashes(scenario, hashes));
const storm = isWanted('Storm') ? await measureStorm(stage, seconds * 2) : undefined;
const prices = isWanted('Prices') ? await measurePrices(stage, { rounds, seconds }) : [];
const mail = isWanted('Mail') ? await measureMails(stage, mails) : undefined;
const backlog = isWanted('Backlog') ? await measureBacklog(stage, backlogOf, rounds, seconds * 5) : undefined;
const streamed = isWanted('Streams') ? await measureStreams(stage, streams, logins) : undefined;
const imported = isWanted('Import') ? await measureImport(stage, lines) : undefined;
await stage.close();
const trail = isWanted('Trail') ? await measureTrail(events) : undefined;
const sizes = [1e4, 1e5, 1e6, 1e7].filter((size) => size <= largest);
const growth = isWanted('Growth') ? await measureGrowth(sizes, rounds, seconds) : [];
report();

async function measureAgainstEcho(scenario: Scenario): Promise<Row[]> {
  progress(scenario.name);
  const prepared = await scenario.prepare(stage.grpc, stage.http);
  const { answerBytes, request, isJson = false } = prepared;
  const kind = isJson ? 'json' : 'grpc';
  const echo = await startChild(['bench/echo-server.ts', `${answerBytes}`, kind], {}, /^ready (\d+)/);
  const echoChain = echoChainTo(`127.0.0.1:${echo.ready}`, request, isJson ? scenario.slots : 0);
  const echoed: number[] = [];
  const measured: Measured[] = [];
  const statements: number[] = [];
  // Both sides warm up and then take turns, so that other load on the machine affects both.
  await saturate(prepared.chain, scenario.slots, warmUp);
  await saturate(echoChain.chain, scenario.slots, warmUp / 3);
  for (let round = 0; round < rounds; round++) {
    echoed.push(rateOf(await saturate(echoChain.chain, scenario.slots, seconds)));
    measured.push(await measure(prepared.chain, scenario.slots));
    if (scenario.name === 'Refresh') statements.push(await statementRate(stage.url, sessions, seconds));
  }
  const half = median(measured.map(({ rate }) => rate)) / 2;
  const calm = await offer(prepared.chain, 256, half, seconds * 2);
  prepared.close();
  echoChain.close();
  await echo.stop();
  const row = compose(scenario.name, measured, isJson ? 'bare node:http' : 'bare echo', median(echoed));
  const shares = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999];
  const latency = Object.fromEntries(shares.map((share) => [share * 100, percentile(calm.latencies, share)]));
  const withLatency = { ...row, latency };
  if (statements.length === 0) return [withLatency];
  return [withLatency, compose(scenario.name, measured, 'its own statement', median(statements))];
}

async function measureAgainstHashes(scenario: Scenario, hashes: number): Promise<Row> {
  progress(scenario.name);
  const app = await stage.startApp({ ...scenario.env, HASH_CONCURRENCY: `${hashes}` });
  const prepared = await scenario.prepare(app.ready, app.readyToo);
  const raw: number[] = [];
  const measured: Measured[] = [];
  await saturate(prepared.chain, scenario.slots, warmUp);
  for (let round = 0; round < rounds; round++) {
    const loop = await startChild(['bench/hash-loop.ts', `${cores}`, `${seconds}`], {}, /^rate (.+)/);
    raw.push(Number(loop.ready));
    measured.push(await measure(prepared.chain, scenario.slots, app));
  }
  prepared.close();
  await app.stop();
  return compose(scenario.name, measured, `raw hashes, ${cores} at a time`, median(raw));
}

async function measure(chain: Chain, slots: number, app = stage.app): Promise<Measured> {
  const before = { ...stage.cpu(app), generator: cpuOf(process.pid) };
  const load = await saturate(chain, slots, seconds);
  if (load.failures > 0) throw new Error(`${load.failures} of ${load.calls} calls failed`);
  const after = { ...stage.cpu(app), generator: cpuOf(process.pid) };
  const perCall = (used: number): number => (used / load.calls) * 1e6;
  return {
    rate: rateOf(load),
    appCpu: perCall(after.app - before.app),
    databaseCpu: perCall(after.database - before.database),
    generatorCpu: perCall(after.generator - before.generator),
  };
}

/** Over gRPC, or in JSON with a connection per slot. */
function echoChainTo(address: string, request: Buffer, slots: number): { chain: Chain; close(): void } {
  const path = '/bench.Echo/Echo';
  const callers =
    slots > 0
      ? Array.from({ length: slots }, () => new JsonCaller(address, path))
      : Array.from({ length: 4 }, () => new Caller(address, path));
  const chain: Chain = async (slot) => void (await callers[slot % callers.length]!.call(request));
  return { chain, close: () => callers.forEach(hangUp) };
}

function hangUp(caller: Caller | JsonCaller): void {
  caller.close();
}

async function idleMemory({ app }: Stage): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 3000));
  return memoryOf(app.pid);
}

function compose(name: string, measured: readonly Measured[], limit: string, limitRate: number): Row {
  const middle = (of: keyof Measured) => median(measured.map((each) => each[of]));
  const rate = middle('rate');
  const cpu = { appCpu: middle('appCpu'), databaseCpu: middle('databaseCpu'), generatorCpu: middle('generatorCpu') };
  return { name, rate, limit, limitRate, ratio: rate / limitRate, ...cpu };
}

function report(): void {
  const table = rows.map((row) => ({
    method: row.name,
    'calls/s': Math.round(row.rate),
    limit: row.limit,
    'limit/s': Math.round(row.limitRate),
    ratio: row.ratio.toFixed(2),
    'app us': Math.round(row.appCpu),
    'db us': Math.round(row.databaseCpu),
    'generator us': Math.round(row.generatorCpu),
    'p50 ms': row.latency?.[50]?.toFixed(2) ?? '',
    'p99 ms': row.latency?.[99]?.toFixed(2) ?? '',
  }));
  if (rows.length > 0) console.table(table);
  if (storm) console.table({ calm: storm.calm, storm: storm.storm });
  if (prices.length > 0) console.table(prices.map(rounded));
  for (const each of [mail, backlog, streamed, imported]) if (each) console.log(rounded(each));
  for (const each of [trail?.pages, trail?.reads]) if (each) console.table(each.map(rounded));
  if (growth.length > 0) console.table(growth);
  console.log(`idle resident memory: ${idle} MB`);
  const machine = `${cores} x ${cpus()[0]?.model}`;
  const run = { date: new Date().toISOString(), machine, node: process.version, rounds, seconds, idle };
  const results = { ...run, rows, storm, prices, mail, backlog, streamed, imported, trail, growth };
  mkdirSync('.reports', { recursive: true });
  writeFileSync('.reports/bench.json', `${JSON.stringify(results, undefined, 2)}\n`);
  if (!only && !isShort) draw(rows, growth);
}

function rateOf({ calls, seconds }: Load): number {
  return calls / seconds;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function progress(line: string): void {
  process.stderr.write(`${line} ...\n`);
}

/** To three figures. */
function rounded(values: object): object {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => {
      if (typeof value === 'number') return [name, Number(value.toPrecision(3))];
      return [name, typeof value === 'object' ? rounded(value) : value];
    }),
  );
}
