import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { cpus, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { hash } from '@node-rs/bcrypt';
import { SMTPServer } from 'smtp-server';
import { lookInterval } from '../src/user/decoy-hashes.ts';
import { pathOf } from './frames.ts';
import { Caller } from './generator.ts';
import { type Comparison, compare, isClose, isEven } from './mann-whitney.ts';
import { createPeopleWithoutPassword, type Kind, mostPeople, type Pair, type Probe, pairs } from './probes.ts';
import { busySince, cpuTimes, startChild } from './processes.ts';
import { openStage } from './stage.ts';

/*
 * npm run bench:timing                                    whether response times reveal registered addresses, in twenty
 *                                                         minutes
 * npm run bench:timing -- --only sign-in                  the pairs whose names begin with it
 * npm run bench:timing -- --samples 100 --runs 1          a quick look, with too few samples for verdicts except those of the controls
 */
const { values: options } = parseArgs({
  options: {
    samples: { type: 'string', default: '1600' },
    runs: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
  },
});
const samples = Number(options.samples);
const warmUps = 50;

interface Run extends Comparison {
  readonly pair: string;
  readonly run: number;
  /** How busy the machine was, from 0 to 1. */
  readonly busy: number;
  readonly passes: boolean;
  readonly isAsItMust: boolean;
}

const load = loadavg();
// A mail server accepts the mails to registered addresses, as in production.
const mailServer = new SMTPServer({ authOptional: true, disabledCommands: ['STARTTLS'], logger: false });
mailServer.listen(0, '127.0.0.1');
await once(mailServer.server, 'listening');
const stage = await openStage(5 * mostPeople, {
  MAIL_MODE: 'smtp',
  SMTP_URL: `smtp-insecure://127.0.0.1:${(mailServer.server.address() as AddressInfo).port}`,
  MAIL_FROM: 'no-reply@bench.example.org',
  FRONTEND_URL: 'https://bench.example.org',
});
const runs: Run[] = [];
try {
  await createPeopleWithoutPassword(stage.grpc);
  for (const pair of pairs.filter(({ name }) => name.startsWith(options.only))) runs.push(...(await judge(pair)));
} finally {
  await stage.close();
  mailServer.close();
}
report();

async function judge(pair: Pair): Promise<Run[]> {
  if (pair.hasImports) await importHashes();
  const leaky = pair.isLeaky ? await stage.startApp({}, 'bench/leaky-app.ts') : undefined;
  const address = (leaky ?? stage.app).ready;
  const others = pair.isBusy ? await startChild(['bench/busy.ts', address], {}, /^ready/) : undefined;
  const judged: Run[] = [];
  for (let run = 1; run <= Number(options.runs); run++) {
    process.stderr.write(`${pair.name}, run ${run} ...\n`);
    const start = cpuTimes();
    const compared = await measure(pair, address);
    const passes = isEven(compared) && isClose(compared);
    const isAsItMust = pair.isLeaky ? !isEven(compared) : passes;
    judged.push({ pair: pair.name, run, ...compared, busy: busySince(start), passes, isAsItMust });
  }
  await others?.stop();
  await leaky?.stop();
  return judged;
}

/** Gives three in ten users a hash that another system made, and waits for the next look at the hashes. */
async function importHashes(): Promise<void> {
  const imported = `imported:${await hash('the password of somebody else', 10)}`;
  await stage.database.query(
    `update users set password_hash = $1 where email ~ '[147]@' and password_hash is not null`,
    [imported],
  );
  await sleep(2 * lookInterval);
}

/** Both sides in random order over one connection, one call after the other. */
async function measure({ kind, a, b }: Pair, address: string): Promise<Comparison> {
  const caller = new Caller(address, pathOf(kind.method));
  const take = (probe: Probe) => time(caller, kind, probe);
  for (const probe of [a, b]) {
    await take(probe);
    await expectCause(kind, probe);
  }
  for (let n = 0; n < warmUps; n++) await take(n % 2 ? a : b);
  const times = { a: [] as number[], b: [] as number[] };
  for (const side of shuffled([...Array(samples).fill('a'), ...Array(samples).fill('b')] as ('a' | 'b')[]))
    times[side].push(await take(side === 'a' ? a : b));
  caller.close();
  return compare(times.a, times.b);
}

async function time(caller: Caller, kind: Kind, probe: Probe): Promise<number> {
  const request = probe.next();
  const startedAt = performance.now();
  const { status, reason } = await caller.call(request);
  const ms = performance.now() - startedAt;
  if (status !== kind.status) throw new Error(`a call of ${kind.method.name} ended with ${status} ${reason}`);
  return ms;
}

/** If both sides were the same by mistake, the pair would pass. */
async function expectCause({ action }: Kind, probe: Probe): Promise<void> {
  const { rows } = await stage.database.query<{ cause: string | null }>(
    'select cause from audit_events where action = $1 order by id desc limit 1',
    [action],
  );
  if (rows[0]?.cause !== probe.cause) throw new Error(`ended with ${rows[0]?.cause}, not ${probe.cause}`);
}

function shuffled<T>(items: T[]): T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [items[last], items[other]] = [items[other]!, items[last]!];
  }
  return items;
}

function report(): void {
  const table = runs.map(({ pair, run, auc, medianA, medianB, busy, passes, isAsItMust }) => ({
    pair,
    run,
    AUC: auc.toFixed(3),
    'median a ms': medianA.toFixed(2),
    'median b ms': medianB.toFixed(2),
    'CPU busy': `${Math.round(busy * 100)} %`,
    verdict: `${passes ? 'passes' : 'fails'}, ${isAsItMust ? 'as it must' : 'but MUST NOT'}`,
  }));
  console.table(table);
  const machine = `${cpus().length} x ${cpus()[0]?.model}`;
  const date = new Date().toISOString();
  const results = { date, machine, node: process.version, load, samples, warmUps, runs };
  mkdirSync('.reports', { recursive: true });
  writeFileSync('.reports/timing.json', `${JSON.stringify(results, undefined, 2)}\n`);
  if (runs.length === 0 || runs.some(({ isAsItMust }) => !isAsItMust)) process.exitCode = 1;
}
