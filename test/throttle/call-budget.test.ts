import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { CallBudgets, grantOf, nextBlock } from '../../src/throttle/call-budget.ts';
import { countHits } from '../../src/throttle/rate-limit-table.ts';
import { createDatabase } from '../support/database.ts';
import { startProxy } from '../support/proxy.ts';

/** The budgets of several replicas on one database, with one clock that the test moves. */
async function openBudgets(replicas = 2) {
  const database = await createDatabase();
  const proxy = await startProxy();
  const orm = await openOrm(proxy.url(database), { poolSize: 5, statementTimeout: 1 });
  onTestFinished(() => orm.close(true));
  const time = { ms: Date.UTC(2027, 0, 1, 12) };
  const count = (key: string, hits: number) =>
    countHits(new Autocommit(orm), { projectId: defaultProjectId, key, hits }, new Date(time.ms));
  const budgets = Array.from({ length: replicas }, () => new CallBudgets(count, () => time.ms));
  /** How many of these parallel calls, spread over the replicas, may pass. */
  const passing = async (key: string, limit: number, calls: number) => {
    const waits = await Promise.all(Array.from({ length: calls }, (_, i) => budgets[i % replicas]!.take(key, limit)));
    return waits.filter((wait) => wait === 0).length;
  };
  const statements = () => proxy.statements.filter(({ name }) => name === 'rate_limit_count').length;
  const pass = (seconds: number) => {
    time.ms += seconds * 1000;
  };
  return { budgets, passing, proxy, statements, pass, database };
}

describe('a budget', () => {
  test.each([1, 3, 10, 59])(
    'of %i a minute lets exactly that many of the parallel calls over two replicas pass',
    async (limit) => {
      const { passing, pass } = await openBudgets();
      expect(await passing('key', limit, 2 * limit + 20)).toBe(limit);
      expect(await passing('key', limit, 10)).toBe(0);
      pass(59);
      expect(await passing('key', limit, 10)).toBe(0);
      pass(2);
      expect(await passing('key', limit, 2 * limit + 20)).toBe(limit);
    },
  );

  test.each([60, 100, 600])(
    'of %i a minute is never exceeded, and can be used up by all replicas together',
    async (limit) => {
      const { passing, pass } = await openBudgets();
      expect(await passing('key', limit, 4 * limit)).toBe(limit);
      expect(await passing('key', limit, 10)).toBe(0);
      pass(61);
      expect(await passing('key', limit, 4 * limit)).toBe(limit);
    },
  );

  test('that is used up returns the seconds until the minute ends', async () => {
    const { budgets, pass } = await openBudgets(1);
    expect(await budgets[0]!.take('key', 1)).toBe(0);
    pass(20);
    expect(await budgets[0]!.take('key', 1)).toBeCloseTo(40, 1);
    pass(39);
    expect(await budgets[0]!.take('key', 1)).toBeCloseTo(1, 1);
    pass(1.1);
    expect(await budgets[0]!.take('key', 1)).toBe(0);
  });

  test('that is used up sends no statements until its minute has ended', async () => {
    const { passing, statements, pass } = await openBudgets(1);
    await passing('key', 5, 6);
    const before = statements();
    for (let second = 0; second < 50; second++) {
      pass(1);
      expect(await passing('key', 5, 10)).toBe(0);
    }
    expect(statements()).toBe(before);
  });

  test('of one key is not affected by the calls of another', async () => {
    const { passing } = await openBudgets();
    await passing('AuthService.SignIn 192.0.2.1', 5, 20);
    expect(await passing('AuthService.SignIn 192.0.2.2', 5, 20)).toBe(5);
    expect(await passing('AuthService.Register 192.0.2.1', 5, 20)).toBe(5);
  });
});

describe('a large budget', () => {
  test('costs about one statement a second under steady load', async () => {
    const { passing, statements, pass } = await openBudgets(1);
    let passed = 0;
    const seconds = 30;
    for (let tick = 0; tick < seconds * 10; tick++) {
      passed += await passing('key', 6000, 5);
      pass(0.1);
    }
    expect(passed).toBe(50 * seconds);
    expect(statements()).toBeLessThanOrEqual(seconds * 1.2);
  });

  test('loses no calls but those that other replicas have leased', async () => {
    const { budgets } = await openBudgets(2);
    // One replica leases a first block and stops; the other may use all but that block.
    expect(await budgets[0]!.take('key', 600)).toBe(0);
    let passed = 0;
    while ((await budgets[1]!.take('key', 600)) === 0) passed++;
    expect(passed).toBe(600 - 10);
    // The first may still use its block.
    let reserve = 0;
    while ((await budgets[0]!.take('key', 600)) === 0) reserve++;
    expect(reserve).toBe(9);
  });
});

describe('the arithmetic of leases', () => {
  test('never grants more than the limit, and grants all of it to calls that ask for more', () => {
    const replicas = fc.array(fc.record({ asked: fc.integer({ min: 1, max: 50 }) }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(replicas, fc.integer({ min: 1, max: 600 }), (leases, limit) => {
        let hits = 0;
        let granted = 0;
        for (const { asked } of leases) {
          hits += asked;
          granted += grantOf({ asked, hits, limit });
        }
        return granted === Math.min(hits, limit);
      }),
    );
  });

  test('leases single calls of a small budget, and growing blocks of a large one that is busy', () => {
    expect([nextBlock(1, 59, true), nextBlock(1, 60, false)]).toEqual([1, 1]);
    expect([nextBlock(8, 600, false), nextBlock(10, 600, true), nextBlock(400, 600, true)]).toEqual([10, 20, 600]);
  });
});

describe('without the database', () => {
  test('each replica counts its own calls, and the limit holds within each', async () => {
    const { passing, proxy, pass } = await openBudgets(2);
    await proxy.refuse();
    expect(await passing('key', 5, 40), 'five on each').toBe(10);
    expect(await passing('key', 5, 10)).toBe(0);
    pass(61);
    expect(await passing('key', 5, 40)).toBe(10);
    expect(await passing('large', 600, 3000)).toBe(1200);
    await proxy.accept();
    pass(61);
    expect(await passing('key', 5, 40), 'five on all together, once the database is back').toBe(5);
  });

  test('calls that were counted in one outage do not count in the next', async () => {
    const { passing, proxy, pass } = await openBudgets(1);
    expect(await passing('key', 5, 2)).toBe(2);
    for (let outage = 0; outage < 4; outage++) {
      await proxy.refuse();
      expect(await passing('key', 5, 3), `outage ${outage}`).toBe(3);
      await proxy.accept();
      pass(61);
      expect(await passing('key', 5, 1)).toBe(1);
    }
  });

  test('calls that one replica counted in an outage count for all when the database is back within the minute', async () => {
    const { passing, proxy, pass } = await openBudgets(1);
    expect(await passing('key', 5, 1)).toBe(1);
    await proxy.refuse();
    expect(await passing('key', 5, 3)).toBe(3);
    await proxy.accept();
    pass(2);
    expect(await passing('key', 5, 20)).toBe(1);
  });

  test('calls do not wait one after the other for the database’s timeout', async () => {
    const { passing, proxy } = await openBudgets(1);
    await passing('key', 50, 1);
    proxy.silence();
    const asked = performance.now();
    expect(await passing('key', 50, 20)).toBe(20);
    expect(performance.now() - asked).toBeLessThan(8000);
  });

  test('an error that is not an outage is thrown', async () => {
    const { budgets, database } = await openBudgets(1);
    await database.query('drop table rate_limits');
    await expect(budgets[0]!.take('key', 5)).rejects.toMatchObject({ code: '42P01' });
  });
});

test('the memory of budgets is bounded for any number of addresses', async () => {
  const own = new CallBudgets(
    async (_, hits) => ({ hits, remaining: 60 }),
    () => 0,
  );
  const fill = async (from: number, to: number) => {
    for (let i = from; i < to; i++) await own.take(`AuthService.SignIn 2001:db8:${i.toString(16)}::`, 5);
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const full = await fill(0, 55_000);
  const grown = (await fill(55_000, 110_000)) - full;
  expect(grown).toBeLessThan(5e6);
});

const collectGarbage = (() => {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
})();
