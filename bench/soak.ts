import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { randomFrom } from '../test/support/random.ts';
import { busySince, cpuTimes } from './processes.ts';
import { masterKey, serviceKey } from './seed.ts';
import type { World } from './soak/actions.ts';
import { Calls } from './soak/calls.ts';
import { beClient } from './soak/client.ts';
import { SoakDatabase } from './soak/database.ts';
import { type Injected, injectFaults, type Scene } from './soak/faults.ts';
import { Findings } from './soak/findings.ts';
import type { Person } from './soak/person.ts';
import { freePort, Replica } from './soak/replica.ts';
import { verify } from './soak/verify.ts';

/* npm run bench:soak. bench/README.md describes it. */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: `${Date.now() % 1e6}` },
    /** Calls a second. */
    rate: { type: 'string', default: '25' },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
const random = randomFrom(seed);
const clients = 24;

process.stderr.write(`${minutes} minutes with --seed ${seed}\n`);
const findings = new Findings();
const database = await SoakDatabase.start();
const links = [await database.openLink(), await database.openLink()];
const replicas: Replica[] = [];
for (const [number, link] of links.entries()) {
  const env = {
    ...settings(),
    DATABASE_URL: database.urlOver(link),
    GRPC_PORT: `${await freePort()}`,
    HTTP_PORT: `${await freePort()}`,
  };
  replicas.push(new Replica(`replica ${number + 1}`, env, findings));
  // One after the other: the first one creates the signing key.
  await replicas.at(-1)!.start();
}
const people: Person[] = [];
const calls = new Calls(replicas, findings, random);
const world: World = { calls, findings, random };
const scene: Scene = { ...world, database, links, replicas, people };
const startedAt = performance.now();
const endsAt = startedAt + minutes * 60_000;
const cpu = cpuTimes();
const isOver = () => performance.now() > endsAt;
const ending = new AbortController();
const ticker = setInterval(printProgress, 60_000);
const injecting = injectFaults(scene, ending.signal);
const pause = (clients / Number(values.rate)) * 1000;
const running = Array.from({ length: clients }, () => beClient(world, people, pause, isOver));
setTimeout(() => ending.abort(), minutes * 60_000);
for (const outcome of await Promise.allSettled(running))
  if (outcome.status === 'rejected') findings.violate(`a client ended: ${outcome.reason}`);
const injected = await injecting;
clearInterval(ticker);
const load = { calls: calls.total, seconds: (performance.now() - startedAt) / 1000, busy: busySince(cpu) };
process.stderr.write(`verifying ${people.length} users ...\n`);
await verify(scene, { ...settings(), DATABASE_URL: database.urlOver(links[0]!) });
for (const replica of replicas) await replica.end('SIGTERM');
for (const link of links) link.close();
await database.cluster.remove();
report(injected);
process.exit(findings.violations.length > 0 ? 1 : 0);

function settings(): Record<string, string> {
  return {
    NODE_ENV: 'production',
    BIND_ADDRESS: '127.0.0.1',
    PUBLIC_URL: 'https://soak.example.org',
    MAIL_MODE: 'off',
    AUTO_CONFIRM_EMAIL: 'on',
    ADMIN_PORT: 'off',
    SHUTDOWN_DELAY: '0',
    SHUTDOWN_GRACE: '5',
    DATABASE_POOL_SIZE: '10',
    // Shorter than most locks of soak/faults.ts.
    DATABASE_STATEMENT_TIMEOUT: '2s',
    MASTER_KEYS: `soak:${masterKey.toString('base64')}`,
    SERVICE_KEYS: `soak:${createHash('sha256').update(serviceKey).digest('hex')}`,
    // The machine is one address.
    LIMITS: '*=1000000',
    QUOTA_FREE: '1000000000',
    QUOTA_ANONYMOUS: '1000000000',
  };
}

function printProgress(): void {
  const passed = Math.round((performance.now() - startedAt) / 60_000);
  const count = findings.violations.length;
  process.stderr.write(`minute ${passed}: ${calls.total} calls, ${people.length} users, ${count} violations\n`);
}

function report(faults: ReadonlyMap<string, Injected>): void {
  const sorted = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b);
  const at = (numbers: readonly number[], share: number) =>
    Math.round(sorted(numbers)[Math.floor(numbers.length * share)] ?? 0);
  console.table(
    Object.fromEntries(
      [...calls.tallies].map(([method, { latencies, ...counts }]) => [
        method,
        { ...counts, 'p50 ms': at(latencies, 0.5), 'p99 ms': at(latencies, 0.99) },
      ]),
    ),
  );
  console.table(
    Object.fromEntries(
      [...calls.reasons].sort(([, a], [, b]) => b - a).map(([reason, count]) => [reason, { calls: count }]),
    ),
  );
  console.table(
    Object.fromEntries(
      [...faults].map(([name, { count, recoveries }]) => [
        name,
        { count, 'back after ms, median': at(recoveries, 0.5), longest: at(recoveries, 1 - 1e-9) },
      ]),
    ),
  );
  if (findings.errors.size > 0) console.table(Object.fromEntries(findings.errors));
  const sessions = people.flatMap((each) => each.sessions);
  const count = (state: string) => sessions.filter((each) => each.state === state).length;
  console.log(
    `${load.calls} calls in ${Math.round(load.seconds)} s on a machine that was ${Math.round(load.busy * 100)} % busy`,
  );
  console.log(
    `${people.length} users, ${sessions.length} sessions (${count('live')} live, ${count('revoked')} revoked, ${count('unsure')} unsure)`,
  );
  console.log(`${findings.stderrLines.length} lines on stderr of the replicas`);
  console.log(`${findings.violations.length} violations`);
  for (const each of findings.violations) console.log(`- ${each}`);
}
