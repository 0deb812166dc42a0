import { describe, expect, test } from 'vitest';
import { randomFrom } from '../../support/random.ts';
import { brokenBuilds, makeBuild } from './broken-builds.ts';
import { Replicas } from './replicas.ts';
import { type Checked, type RoundOptions, runRound } from './round.ts';

/** `SEED=7 npm run test:long` repeats a run. */
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const minutes = Number(process.env.HISTORY_MINUTES ?? 4);

const round: RoundOptions = {
  users: 4,
  clients: 4,
  callsPerClient: 18,
  faults: ['cut', 'pause', 'slow', 'lockUser', 'holdUser', 'lockSessions'],
  faultPause: 200,
  hasty: 0.25,
  slack: 1000,
  patience: { milliseconds: 30_000, states: 4_000_000 },
};

describe.each([true, false])('with replays of refresh tokens: %s', (replays) => {
  test(`no history of two replicas is refuted (SEED=${seed})`, { timeout: (minutes + 5) * 60_000 }, async () => {
    const random = randomFrom(seed + Number(replays));
    const replicas = await Replicas.start({ replays });
    const until = performance.now() + (minutes / 2) * 60_000;
    const checked: Checked[] = [];
    for (let number = 1; performance.now() < until; number++) {
      const faults = number % 4 === 0 ? [...round.faults, 'kill' as const] : round.faults;
      const results = await runRound(replicas, random, { ...round, faults: number % 10 === 0 ? [] : faults });
      for (const { reduced } of results) if (reduced) console.log(`round ${number}:\n${reduced}`);
      checked.push(...results);
    }
    const calls = checked.reduce((sum, each) => sum + each.calls, 0);
    const undecided = checked.filter(({ outcome }) => outcome === 'undecided').length;
    console.log(`${checked.length} histories, ${calls} calls, ${undecided} undecided`);
    expect(checked.flatMap(({ reduced }) => reduced ?? [])).toEqual([]);
    expect(undecided / checked.length).toBeLessThanOrEqual(0.05);
    expect(calls).toBeGreaterThan(1000);
  });
});

describe('ten rounds refute a build in which', () => {
  test.each(Object.entries(brokenBuilds))('%s', { timeout: 300_000 }, async (fault, changes) => {
    const random = randomFrom(seed);
    const replicas = await Replicas.start({ replays: false, build: makeBuild(changes) });
    for (let number = 1; number <= 10; number++) {
      const refuted = (await runRound(replicas, random, round)).find(({ outcome }) => outcome === 'refuted');
      if (!refuted) continue;
      console.log(`${fault}: round ${number}\n${refuted.reduced}`);
      return;
    }
    expect.fail(`not found in ten rounds (SEED=${seed})`);
  });
});
