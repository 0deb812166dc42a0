import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from './calls.ts';
import type { Person } from './person.ts';
import type { Replicas } from './replicas.ts';

export type FaultName = keyof typeof faults;

/** Milliseconds between these bounds, most of them short. */
function span(random: Random, least: number, most: number): number {
  return least + random() ** 2 * (most - least);
}

const lockUsers = 'select 1 from users where id = any($1::uuid[]) order by id for no key update';

const faults = {
  async kill(replicas: Replicas, _: readonly Person[], random: Random) {
    await replicas.killAndRestart(random() < 0.5 ? 0 : 1);
  },
  async cut(replicas: Replicas, _: readonly Person[], random: Random) {
    await replicas.cut(random() < 0.5 ? 0 : 1);
  },
  async pause(replicas: Replicas, _: readonly Person[], random: Random) {
    await replicas.pause(random() < 0.5 ? 0 : 1, () => sleep(span(random, 30, 500)));
  },
  async slow(replicas: Replicas, _: readonly Person[], random: Random) {
    const proxy = replicas.proxies[random() < 0.5 ? 0 : 1]!;
    proxy.delay = span(random, 1, 20);
    await sleep(span(random, 50, 500));
    proxy.delay = 0;
  },
  async lockUser({ database }: Replicas, people: readonly Person[], random: Random) {
    const release = await database.hold(lockUsers, [people.map(({ id }) => id)]);
    await sleep(span(random, 30, 500));
    await release();
  },
  /** Long enough to show what a call does that waited until after its deadline. */
  async holdUser({ database }: Replicas, people: readonly Person[]) {
    const release = await database.hold(lockUsers, [people.map(({ id }) => id)]);
    await sleep(1600);
    await release();
  },
  async lockSessions({ database }: Replicas, people: readonly Person[], random: Random) {
    // One of each user: with more, a revocation and this would wait for each other.
    const ids = people.flatMap(({ sessions }) => [...sessions.keys()].at(-1) ?? []);
    const locked = 'select 1 from sessions where id = any($1::uuid[]) order by id for no key update';
    const release = await database.hold(locked, [ids]);
    await sleep(span(random, 30, 600));
    await release();
  },
} satisfies Record<string, (replicas: Replicas, people: readonly Person[], random: Random) => Promise<void>>;

/** Injects one fault after the other until the signal, each at a random moment. Resolves when the last is over. */
export async function injectFaults(
  replicas: Replicas,
  people: readonly Person[],
  random: Random,
  { names, pause, signal }: { names: readonly FaultName[]; pause: number; signal: AbortSignal },
): Promise<FaultName[]> {
  const injected: FaultName[] = [];
  while (names.length > 0 && !signal.aborted) {
    await sleep(random() * pause);
    if (signal.aborted) break;
    const name = names[Math.floor(random() * names.length)]!;
    injected.push(name);
    await faults[name](replicas, people, random);
  }
  return injected;
}
