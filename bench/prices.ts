import { setTimeout as sleep } from 'node:timers/promises';
import { saturate } from './generator.ts';
import type { Child } from './processes.ts';
import { signIn, signUpAnonymous } from './scenarios.ts';
import type { Stage } from './stage.ts';
import type { Prepared, Scenario } from './wire.ts';

/** What one feature costs: the same calls with it and without it, in turns. */
export interface Price {
  readonly what: string;
  readonly method: string;
  /** Calls a second. */
  readonly rateWith: number;
  readonly rateWithout: number;
  readonly ratio: number;
  /** Microseconds of CPU that it adds to a call. */
  readonly appCpu: number;
  readonly databaseCpu: number;
}

interface Side {
  readonly app: Child;
  readonly prepared: Prepared;
  /** Prepares the installation for this side. */
  readonly begin: () => Promise<unknown>;
  /** Resolves when the work that the calls have left behind is done. It is a part of their price. */
  readonly end: () => Promise<unknown>;
}

interface Used {
  readonly rate: number;
  readonly appCpu: number;
  readonly databaseCpu: number;
}

interface Extent {
  readonly rounds: number;
  readonly seconds: number;
}

/** What the queue and the seals of the audit trail cost, and what rate limits cost. */
export async function measurePrices(stage: Stage, extent: Extent): Promise<Price[]> {
  const prices: Price[] = [];
  for (const scenario of [signIn(1), signUpAnonymous()]) prices.push(await priceOfSeals(stage, scenario, extent));
  const hops = { TRUSTED_PROXY_HOPS: '1' };
  const limited = await stage.startApp({ ...hops, LIMITS: 'AuthService.SignUpAnonymous=1000000' });
  const few = await stage.startApp({ ...hops, LIMITS: 'AuthService.SignUpAnonymous=30' });
  const free = await stage.startApp({ ...hops, LIMITS: '*=off' });
  for (const [what, app, scenario] of [
    ['a limit, one busy address', limited, signUpAnonymous()],
    ['a limit, each call from another address', few, signUpAnonymous(true)],
  ] as const)
    prices.push(await compare(what, scenario, extent, stage, await sidesOf(scenario, [app, free])));
  for (const app of [limited, few, free]) await app.stop();
  return prices;
}

/** Without the trigger that queues events, there is nothing to seal. */
async function priceOfSeals(stage: Stage, scenario: Scenario, extent: Extent): Promise<Price> {
  const [sealed, unsealed] = await sidesOf(scenario, [stage.app, stage.app]);
  const have = (state: string) => () =>
    stage.database.query(`alter table audit_events ${state} trigger audit_events_queue`);
  const sides = [
    { ...sealed, begin: have('enable'), end: () => untilSealed(stage) },
    { ...unsealed, begin: have('disable') },
  ] as const;
  try {
    return await compare('queue and seals of the trail', scenario, extent, stage, sides);
  } finally {
    await have('enable')();
  }
}

async function untilSealed({ database }: Stage): Promise<void> {
  while ((await database.query('select from audit_unsealed limit 1')).rowCount !== 0) await sleep(50);
}

async function sidesOf(scenario: Scenario, [one, other]: readonly [Child, Child]): Promise<[Side, Side]> {
  const side = async (app: Child): Promise<Side> => ({
    app,
    prepared: await scenario.prepare(app.ready),
    begin: async () => {},
    end: async () => {},
  });
  return [await side(one), await side(other)];
}

async function compare(
  what: string,
  scenario: Scenario,
  { rounds, seconds }: Extent,
  stage: Stage,
  sides: readonly [Side, Side],
): Promise<Price> {
  process.stderr.write(`Price: ${what}, ${scenario.name} ...\n`);
  const used: [Used[], Used[]] = [[], []];
  for (const { prepared } of sides) await saturate(prepared.chain, scenario.slots, 2 * seconds);
  for (let round = 0; round < rounds; round++)
    for (const index of [0, 1] as const) used[index].push(await use(stage, sides[index], scenario.slots, seconds));
  for (const { prepared } of sides) prepared.close();
  const middle = (index: 0 | 1, of: keyof Used) => median(used[index].map((each) => each[of]));
  const [rateWith, rateWithout] = [middle(0, 'rate'), middle(1, 'rate')];
  return {
    ...{ what, method: scenario.name, rateWith, rateWithout, ratio: rateWith / rateWithout },
    appCpu: middle(0, 'appCpu') - middle(1, 'appCpu'),
    databaseCpu: middle(0, 'databaseCpu') - middle(1, 'databaseCpu'),
  };
}

async function use(stage: Stage, { app, prepared, begin, end }: Side, slots: number, seconds: number): Promise<Used> {
  await begin();
  const before = stage.cpu(app);
  const load = await saturate(prepared.chain, slots, seconds);
  if (load.failures > 0) throw new Error(`${load.failures} of ${load.calls} calls failed`);
  await end();
  const after = stage.cpu(app);
  return {
    rate: load.calls / load.seconds,
    appCpu: ((after.app - before.app) / load.calls) * 1e6,
    databaseCpu: ((after.database - before.database) / load.calls) * 1e6,
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
