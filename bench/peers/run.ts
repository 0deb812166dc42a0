import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { percentile, saturate } from '../generator.ts';
import { cpuOf, startChild } from '../processes.ts';
import { flags, openStage, type Stage } from '../stage.ts';
import { installPeers, versions } from './packages.ts';
import { paths, type Servers, type Side } from './paths.ts';
import { poolSize, sessionCount, slots } from './terms.ts';

/* npm run bench:peers: Gatehouse beside what npm has, on equal terms. */
const help = `npm run bench:peers -- [--rounds 3] [--seconds 3] [--only NAME] [--short]

Compares Gatehouse with ${Object.entries(versions)
  .map((each) => each.join(' '))
  .join(' and ')}: the same PostgreSQL, pools of ${poolSize}, ${slots} calls in flight.
The first run installs them in ~/.cache/gatehouse-bench-peers with npm.

  --rounds N    rounds of each side, in turns; the results are medians
  --seconds N   seconds of a round
  --only NAME   only the paths whose name begins so: ${paths.map(({ name }) => name).join(', ')}
  --short       one round of a second after a short warm-up: shows that everything runs
`;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    only: { type: 'string', default: '' },
    short: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

interface Round {
  readonly rate: number;
  /** Microseconds of CPU per call. */
  readonly server: number;
  readonly database: number;
  readonly p50: number;
  readonly p99: number;
}

interface Result extends Round {
  readonly path: string;
  readonly side: string;
}

if (values.help) process.stdout.write(help);
else await run();

async function run(): Promise<void> {
  const rounds = Number(values.rounds ?? (values.short ? 1 : 3));
  const seconds = Number(values.seconds ?? (values.short ? 1 : 3));
  const peers = installPeers();
  // All cores hash: Better Auth has no limit of its own.
  const settings = { LIMITS: '*=off', DATABASE_POOL_SIZE: `${poolSize}`, HASH_CONCURRENCY: `${cpus().length}` };
  const stage = await openStage(sessionCount, settings);
  const servers = await startPeers(stage, peers);
  const results: Result[] = [];
  for (const path of paths.filter(({ name }) => name.startsWith(values.only))) {
    process.stderr.write(`${path.name} ...\n`);
    const sides = await path.open(servers);
    const measured = await measureInTurns(stage, sides, { rounds, seconds, warmUp: values.short ? 1 : 8 });
    sides.forEach(({ name, close }, n) => {
      results.push({ path: path.name, side: name, ...middle(measured[n]!) });
      close();
    });
  }
  for (const each of [servers.betterAuth, servers.extending, servers.oidcProvider]) await each.stop();
  await stage.close();
  report(results);
}

async function startPeers(stage: Stage, dir: string): Promise<Servers> {
  const [first, second] = [await createDatabase(stage, 'better_auth'), await createDatabase(stage, 'oidc_provider')];
  const start = (name: string, ...args: string[]) =>
    startChild(
      [...flags, `bench/peers/${name}.ts`, dir, ...args],
      { NODE_ENV: 'production' },
      /^ready (\d+) ?(.*)/,
    ).then((child) => ({ ...child, ready: `127.0.0.1:${child.ready}` }));
  const betterAuth = await start('better-auth', first);
  const extending = await start('better-auth', first, '0');
  return { stage, betterAuth, extending, oidcProvider: await start('oidc-provider', second) };
}

async function createDatabase({ database, url }: Stage, name: string): Promise<string> {
  await database.query(`create database ${name}`);
  return url.replace('/postgres?', `/${name}?`).replace(/\/postgres$/, `/${name}`);
}

interface Extent {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUp: number;
}

async function measureInTurns(stage: Stage, sides: readonly Side[], extent: Extent): Promise<Round[][]> {
  const measured: Round[][] = sides.map(() => []);
  for (const side of sides) await measure(stage, side, extent.warmUp);
  for (let round = 0; round < extent.rounds; round++)
    for (const [n, side] of sides.entries()) measured[n]!.push(await measure(stage, side, extent.seconds));
  return measured;
}

async function measure(stage: Stage, { name, pid, chain }: Side, seconds: number): Promise<Round> {
  const cpu = () => ({ server: cpuOf(pid, true), database: stage.cpu().database });
  const before = cpu();
  const { calls, failures, latencies, seconds: took } = await saturate(chain, slots, seconds);
  const after = cpu();
  if (failures > 0) throw new Error(`${name}: ${failures} of ${calls} calls failed`);
  const perCall = (of: 'server' | 'database') => ((after[of] - before[of]) / calls) * 1e6;
  return {
    rate: calls / took,
    server: perCall('server'),
    database: perCall('database'),
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
  };
}

function middle(rounds: readonly Round[]): Round {
  const of = (name: keyof Round) =>
    rounds.map((each) => each[name]).toSorted((a, b) => a - b)[Math.floor(rounds.length / 2)]!;
  return { rate: of('rate'), server: of('server'), database: of('database'), p50: of('p50'), p99: of('p99') };
}

function report(results: readonly Result[]): void {
  console.table(
    results.map(({ path, side, rate, server, database, p50, p99 }) => ({
      path,
      side,
      'calls/s': Math.round(rate),
      'server us': Math.round(server),
      'db us': Math.round(database),
      'p50 ms': p50.toFixed(1),
      'p99 ms': p99.toFixed(1),
    })),
  );
  mkdirSync('.reports', { recursive: true });
  const about = { date: new Date().toISOString(), machine: cpus()[0]?.model, node: process.version, versions };
  writeFileSync('.reports/peers.json', `${JSON.stringify({ ...about, results }, undefined, 2)}\n`);
}
