import type { Chain } from './generator.ts';
import { saturate } from './generator.ts';
import { refreshAmong } from './scenarios.ts';
import { openStage, type Stage } from './stage.ts';

export interface Grown {
  readonly sessions: number;
  readonly rate: number;
  /** The share of updates that stayed within their page and touched no index. */
  readonly hot: number;
}

interface Size {
  readonly sessions: number;
  readonly stage: Stage;
  readonly calls: { readonly chain: Chain; close(): void };
  readonly rates: number[];
}

/**
 * How much Refresh slows down as the table grows: the same load, spread over all sessions of databases of several sizes.
 * The databases take turns, so that other load on the machine affects all of them.
 */
export async function measureGrowth(counts: readonly number[], rounds: number, seconds: number): Promise<Grown[]> {
  const sizes: Size[] = [];
  for (const sessions of counts) {
    process.stderr.write(`growth: ${sessions} sessions ...\n`);
    const stage = await openStage(sessions);
    sizes.push({ sessions, stage, calls: await refreshAmong(sessions).prepare(stage.grpc), rates: [] });
  }
  for (const { calls } of sizes) await saturate(calls.chain, 32, 4);
  for (let round = 0; round < rounds; round++) for (const size of sizes) size.rates.push(await rateOf(size, seconds));
  const grown: Grown[] = [];
  for (const size of sizes) grown.push(await finish(size));
  return grown;
}

async function rateOf({ calls }: Size, seconds: number): Promise<number> {
  const load = await saturate(calls.chain, 32, seconds);
  if (load.failures > 0) throw new Error(`${load.failures} refreshes failed`);
  return load.calls / load.seconds;
}

async function finish({ sessions, stage, calls, rates }: Size): Promise<Grown> {
  calls.close();
  await stage.database.query('select pg_stat_force_next_flush()');
  const { rows } = await stage.database.query<{ share: number }>(
    `select n_tup_hot_upd::float8 / greatest(n_tup_upd, 1) as share from pg_stat_user_tables where relname = 'sessions'`,
  );
  await stage.close();
  return { sessions, rate: rates.sort((a, b) => a - b)[Math.floor(rates.length / 2)]!, hot: rows[0]!.share };
}
