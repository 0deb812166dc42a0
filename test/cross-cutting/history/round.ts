import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { asService } from '../../support/people.ts';
import { type Drawn, drawCall, drawRead, getUser, introspect, type Random, refresh, revokeEverybody } from './calls.ts';
import { check, type Entry, type Patience, type Verdict } from './checker.ts';
import { type FaultName, injectFaults } from './faults.ts';
import { type Call, userModel } from './model.ts';
import { Person } from './person.ts';
import { describeHistory, reduceHistory } from './reduce.ts';
import type { Replicas } from './replicas.ts';

export interface RoundOptions {
  readonly users: number;
  /** Clients of each user. */
  readonly clients: number;
  readonly callsPerClient: number;
  readonly faults: readonly FaultName[];
  /** Milliseconds between two faults, at most. */
  readonly faultPause: number;
  /** The share of calls with a short deadline. */
  readonly hasty: number;
  /** Milliseconds after a deadline in which a commit that was under way may still arrive. */
  readonly slack: number;
  readonly patience: Patience;
}

export interface Checked extends Verdict {
  readonly calls: number;
  /** Of a refuted history: what is left of it without the calls that do not matter. */
  readonly reduced: string | undefined;
}

const ordinaryDeadline = 3000;

/** Creates users, lets their clients make calls in parallel while faults happen, and checks the history of each user. */
export async function runRound(replicas: Replicas, random: Random, options: RoundOptions): Promise<Checked[]> {
  const people = await Promise.all(Array.from({ length: options.users }, () => createPerson(replicas, random)));
  const over = new AbortController();
  const { faults: names, faultPause: pause } = options;
  const faults = injectFaults(replicas, people, random, { names, pause, signal: over.signal });
  const clients = people.flatMap((person) =>
    Array.from({ length: options.clients }, () => beClient(replicas, person, random, options)),
  );
  const everybody = random() < 0.3 ? [revokeAll(replicas, people, random)] : [];
  const watchers = people.map((person) => watch(replicas, person, random, over.signal));
  await Promise.all([...clients, ...everybody]);
  over.abort();
  await Promise.all([faults, ...watchers]);
  await Promise.all(people.map((person) => lookAround(replicas, person, random)));
  return people.map((person) => judge(replicas, person, options));
}

function judge(replicas: Replicas, person: Person, { slack, patience }: RoundOptions): Checked {
  const model = userModel(person.first, replicas.replays);
  const history = person.history(slack, (...when) => replicas.wasHurt(...when));
  const verdict = check(model, history, patience);
  const reduced = verdict.outcome === 'refuted' ? explain(model, history) : undefined;
  return { ...verdict, calls: history.length, reduced };
}

function explain(model: ReturnType<typeof userModel>, history: readonly Entry<Call>[]): string {
  return describeHistory(reduceHistory(model, history));
}

async function createPerson(replicas: Replicas, random: Random): Promise<Person> {
  const email = `${randomUUID()}@example.org`;
  const first = { name: 'n0', password: 'the first password is p0' };
  const { admin } = replicas.clients(replicas.any(random), 'json');
  const { user } = await admin.createUser({ email, ...first }, asService);
  return new Person(user!.id, email, first);
}

async function beClient(replicas: Replicas, person: Person, random: Random, options: RoundOptions): Promise<void> {
  for (let made = 0; made < options.callsPerClient && !person.isBlurred; made++) {
    const timeoutMs = random() < options.hasty ? shortDeadline(random) : ordinaryDeadline;
    // Without a session there is little to call.
    const isFirst = person.accesses.length === 0;
    await make(replicas, [person], drawCall(person, random), random, isFirst ? ordinaryDeadline : timeoutMs);
  }
}

/** Reads now and then, also while all other clients wait for a lock. */
async function watch(replicas: Replicas, person: Person, random: Random, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await make(replicas, [person], drawRead(person, random), random);
    await sleep(random() * 100);
  }
}

/** Half of them are over before the first statement is. */
function shortDeadline(random: Random): number {
  return 1 + Math.floor(random() * (random() < 0.5 ? 20 : 150));
}

/** Makes a call, and notes it in the history of everybody whom it concerns. */
async function make(
  replicas: Replicas,
  people: readonly Person[],
  { call, send, wire }: Drawn,
  random: Random,
  timeoutMs = ordinaryDeadline,
): Promise<void> {
  const replica = replicas.any(random);
  const clients = replicas.clients(replica, wire ?? (random() < 0.5 ? 'grpc' : 'json'));
  const sent = send(clients, { timeoutMs });
  await Promise.all(people.map((person) => person.note(call, replica, timeoutMs, () => sent)));
}

async function revokeAll(replicas: Replicas, people: readonly Person[], random: Random): Promise<void> {
  await sleep(random() * 600);
  await make(replicas, people, revokeEverybody(), random);
}

/** Whatever was revoked or changed is looked at once more, after everything. */
async function lookAround(replicas: Replicas, person: Person, random: Random): Promise<void> {
  await make(replicas, [person], getUser(person), random);
  for (const access of person.accesses.slice(-4)) await make(replicas, [person], introspect(access), random);
  for (const token of person.tokens.slice(-3)) await make(replicas, [person], refresh(person, token, random), random);
  for (const access of person.accesses.slice(-4)) await make(replicas, [person], introspect(access), random);
}
