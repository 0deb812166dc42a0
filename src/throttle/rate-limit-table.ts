import { defineEntity, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { projectColumn } from '../project/project.ts';

const columns = {
  projectId: () => projectColumn().primary(),
  key: p.string().length(200).primary(),
  windowEndsAt: p.datetime(3),
  hits: p.integer(),
};

const RateLimitTable = defineEntity({
  name: 'RateLimit',
  tableName: 'rate_limits',
  properties: columns,
  indexes: [{ name: 'rate_limits_expiry', properties: ['windowEndsAt'] }],
});

/** A counter of what its key names, in a window of one minute. Shared by all replicas, and lost when PostgreSQL crashes. */
export class RateLimit extends RateLimitTable.class {}
RateLimitTable.setClass(RateLimit);

const DurableRateLimitTable = defineEntity({
  name: 'DurableRateLimit',
  tableName: 'durable_rate_limits',
  properties: columns,
  indexes: [{ name: 'durable_rate_limits_expiry', properties: ['windowEndsAt'] }],
});

/** The same for longer windows: failed attempts and mails. It survives a crash and a failover. */
export class DurableRateLimit extends DurableRateLimitTable.class {}
DurableRateLimitTable.setClass(DurableRateLimit);

/**
 * SQL: the end of an insert into either table, as `r`, that counts. Hits are added to the key's window while it lasts; after
 * its end the inserted row begins a new one. A fixed window has the end that its first hit gave it. A sliding window ends
 * later with every hit.
 */
export const addToWindow = (window: 'fixed' | 'sliding', now = ':now') => {
  const hasEnded = `r.window_ends_at <= ${now}`;
  const keptEnd = `case when ${hasEnded} then excluded.window_ends_at else r.window_ends_at end`;
  // Above the largest integer the statement would fail, and the call with it.
  return `on conflict (project_id, key) do update set
     hits = case when ${hasEnded} then excluded.hits else least(r.hits::bigint + excluded.hits, 2147483647) end,
     window_ends_at = ${window === 'fixed' ? keptEnd : 'excluded.window_ends_at'}`;
};

export interface Window {
  /** Calls counted in this window, those just counted included. */
  readonly hits: number;
  /** Seconds until the window ends. */
  readonly remaining: number;
}

interface Hits {
  readonly projectId: string;
  readonly key: string;
  readonly hits: number;
}

// Hot: one upsert counts and returns the count, so of parallel calls exactly as many pass as the budget has left.
const count = statement<Window, Hits & { now: Date }>(
  'rate_limit_count',
  `insert into rate_limits as r (project_id, key, window_ends_at, hits)
   values (:projectId, :key, :now::timestamptz + interval '1 minute', :hits)
   ${addToWindow('fixed')}
   returning hits, extract(epoch from window_ends_at - :now)::float8 as remaining`,
);

/** SQL: the seconds until the counter `key` of a minute has room below `limit`, null when it has. Of `:projectId` at `:now`. */
export const secondsUntilMinute = (key: string, limit: string) =>
  `(select extract(epoch from r.window_ends_at - :now)::float8 from rate_limits r
     where r.project_id = :projectId and r.key = ${key} and r.hits >= ${limit} and r.window_ends_at > :now)`;

const readWait = statement<{ wait: number | null }, { projectId: string; key: string; limit: number; now: Date }>(
  'rate_limit_wait',
  `select ${secondsUntilMinute(':key', ':limit')} as wait`,
);

/** The seconds until the counter of a key has room below the limit, 0 when it has. */
export async function waitFor(
  autocommit: Autocommit,
  values: { projectId: string; key: string; limit: number },
  now: Date,
): Promise<number> {
  const [row] = await readWait(autocommit, { ...values, now });
  return row!.wait ?? 0;
}

/** Adds hits to the current window of one minute of a key. The first hit begins the window. */
export async function countHits(autocommit: Autocommit, hits: Hits, now: Date): Promise<Window> {
  const [window] = await count(autocommit, { ...hits, now });
  return window!;
}
