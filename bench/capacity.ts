import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { offer, percentile, saturate } from './generator.ts';
import { polls, seedLogins } from './logins.ts';
import { plot } from './plot.ts';
import { register, scenarios, signIn } from './scenarios.ts';
import { openStage, type Stage } from './stage.ts';
import type { Scenario } from './wire.ts';

/* npm run bench:capacity: what one replica bears, with the latency at each rate. Draws docs/performance/. */
const paths = ['GetMe', 'Introspect', 'GetSession', 'Refresh', 'PollDeviceToken', 'SignIn', 'Register'];
const help = `npm run bench:capacity -- [--seconds 4] [--only NAME]

Offers each of ${paths.join(', ')}
at shares of its highest rate. Prints the latencies, writes .reports/capacity.json, and a chart per path into
docs/performance/.

  --seconds N   seconds at each rate
  --only NAME   only the paths whose name begins so
`;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    only: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
const shares = [0.1, 0.3, 0.5, 0.7, 0.8, 0.9];
/** Calls that may be in flight when their rate is given. */
const slots = 256;

interface Point {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
}

interface Capacity {
  readonly path: string;
  /** The highest rate of a closed loop. */
  readonly highest: number;
  /** Microseconds of CPU per call. */
  readonly app: number;
  readonly database: number;
  readonly points: readonly Point[];
}

if (values.help) process.stdout.write(help);
else await run();

async function run(): Promise<void> {
  const stage = await openStage(10_000);
  await seedLogins(stage.database, 'device');
  const measured: Capacity[] = [];
  for (const path of paths.filter((each) => each.startsWith(values.only))) measured.push(await measure(stage, path));
  const { rows } = await stage.database.query<{ bytes: number }>(
    `select pg_total_relation_size('sessions')::int / 10000 as bytes`,
  );
  await stage.close();
  report(measured);
  console.log(`a session takes ${rows[0]!.bytes} bytes, its indexes included`);
}

function scenarioOf(path: string): Scenario {
  const one = [...scenarios, ...polls].find(({ name }) => name === path);
  return one ?? (path === 'SignIn' ? signIn(1) : register(1));
}

async function measure(stage: Stage, path: string): Promise<Capacity> {
  process.stderr.write(`${path} ...\n`);
  const scenario = scenarioOf(path);
  const { chain, close } = await scenario.prepare(stage.grpc, stage.http);
  await saturate(chain, scenario.slots, 2 * seconds);
  const before = stage.cpu();
  const full = await saturate(chain, scenario.slots, seconds);
  const after = stage.cpu();
  const highest = full.calls / full.seconds;
  const perCall = (of: 'app' | 'database') => ((after[of] - before[of]) / full.calls) * 1e6;
  const points: Point[] = [];
  for (const share of shares) {
    const { latencies, failures } = await offer(chain, slots, share * highest, seconds);
    if (failures > 0) throw new Error(`${path}: ${failures} calls failed`);
    points.push({ rate: share * highest, p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) });
  }
  close();
  return { path, highest, app: perCall('app'), database: perCall('database'), points };
}

function report(measured: readonly Capacity[]): void {
  console.table(
    measured.map(({ path, highest, app, database, points }) => ({
      path,
      'highest/s': Math.round(highest),
      'app us': Math.round(app),
      'db us': Math.round(database),
      ...Object.fromEntries(points.map((each, n) => [`p50/p99 at ${shares[n]}`, latencyOf(each)])),
    })),
  );
  mkdirSync('.reports', { recursive: true });
  const run = { date: new Date().toISOString(), machine: `${cpus().length} x ${cpus()[0]?.model}`, measured };
  writeFileSync('.reports/capacity.json', `${JSON.stringify(run, undefined, 2)}\n`);
  mkdirSync('docs/performance', { recursive: true });
  for (const each of measured) writeFileSync(`docs/performance/${each.path.toLowerCase()}.svg`, chartOf(each));
}

function latencyOf({ p50, p99 }: Point): string {
  return `${p50.toPrecision(2)} / ${p99.toPrecision(2)}`;
}

function chartOf({ path, points }: Capacity): string {
  const line = (of: 'p50' | 'p99') => points.map((each) => [each.rate, Math.max(each[of], 0.01)] as const);
  const axes = { title: `${path}: latency at each rate`, x: 'calls a second', y: 'milliseconds', logY: true };
  return plot(axes, [
    { name: 'p50', points: line('p50') },
    { name: 'p99', points: line('p99') },
  ]);
}
