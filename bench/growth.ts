import { saturate } from './generator.ts';
import { refreshAmong } from './scenarios.ts';
import { openStage } from './stage.ts';

export interface Grown {
  readonly sessions: number;
  readonly rate: number;
  /** The share of updates that stayed within their page and touched no index. */
  readonly hot: number;
}

/**
 * How much Refresh slows down as the table grows: the same load, spread over all sessions, on a fresh database of each
 * size.
 */
export async function measureGrowth(sizes: readonly number[], rounds: number, seconds: number): Promise<Grown[]> {
  const grown: Grown[] = [];
  for (const sessions of sizes) {
    process.stderr.write(`growth: ${sessions} sessions ...\n`);
    const stage = await openStage(sessions);
    const calls = await refreshAmong(sessions).prepare(stage.grpc);
    await saturate(calls.chain, 32, 2);
    const rates: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const load = await saturate(calls.chain, 32, seconds);
      if (load.failures > 0) throw new Error(`${load.failures} refreshes failed`);
      rates.push(load.calls / load.seconds);
    }
    calls.close();
    await stage.database.query('select pg_stat_force_next_flush()');
    const { rows } = await stage.database.query<{ share: number }>(
      `select n_tup_hot_upd::float8 / greatest(n_tup_upd, 1) as share from pg_stat_user_tables where relname = 'sessions'`,
    );
    grown.push({ sessions, rate: rates.sort((a, b) => a - b)[Math.floor(rates.length / 2)]!, hot: rows[0]!.share });
    await stage.close();
  }
  return grown;
}
