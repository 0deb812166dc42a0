import { expect, test } from 'vitest';
import { randomFrom } from '../../support/random.ts';
import { Replicas } from './replicas.ts';
import { type RoundOptions, runRound } from './round.ts';

/** `SEED=7 npx vitest run test/cross-cutting/history` repeats a run. */
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

const round: RoundOptions = {
  users: 3,
  clients: 4,
  callsPerClient: 12,
  faults: ['cut', 'pause', 'slow', 'lockUser', 'lockSessions'],
  faultPause: 150,
  hasty: 0.15,
  // The machine of the gate may be slow.
  slack: 10_000,
  patience: { milliseconds: 5000, states: 1_000_000 },
};

test(`what two replicas return under faults could have been returned by one call after another (SEED=${seed})`, async () => {
  const random = randomFrom(seed);
  const replicas = await Replicas.start({ replays: random() < 0.5 });
  const until = performance.now() + 8000;
  const checked = await runRound(replicas, random, { ...round, faults: ['kill'] });
  while (performance.now() < until) checked.push(...(await runRound(replicas, random, round)));
  expect(checked.flatMap(({ reduced }) => reduced ?? [])).toEqual([]);
  expect(checked.filter(({ outcome }) => outcome === 'undecided').length).toBeLessThan(checked.length / 4);
  expect(checked.reduce((sum, { calls }) => sum + calls, 0)).toBeGreaterThan(100);
});
