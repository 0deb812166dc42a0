import { defineEntity, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { Project } from '../project/project.ts';

const RateLimitTable = defineEntity({
  name: 'RateLimit',
  tableName: 'rate_limits',
  properties: {
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id').primary(),
    key: p.string().length(200).primary(),
    windowEndsAt: p.datetime(3),
    hits: p.integer(),
  },
  indexes: [{ name: 'rate_limits_expiry', properties: ['windowEndsAt'] }],
});

/** How often something was done in the current window. One row per method and address, shared by all replicas. */
export class RateLimit extends RateLimitTable.class {}
RateLimitTable.setClass(RateLimit);

export interface Window {
  /** Calls counted in this window, the ones just taken included. */
  readonly hits: number;
  /** Seconds until the window ends. */
  readonly remaining: number;
}

// Hot: one upsert counts and tells, so that of parallel calls exactly as many pass as the budget has left.
const count = statement<Window>(
  'rate_limit_count',
  `insert into rate_limits as r (project_id, key, window_ends_at, hits)
   values ($1, $2, $3::timestamptz + interval '1 minute', $4)
   on conflict (project_id, key) do update set
     hits = case when r.window_ends_at <= $3 then excluded.hits else r.hits + excluded.hits end,
     window_ends_at = case when r.window_ends_at <= $3 then excluded.window_ends_at else r.window_ends_at end
   returning hits, extract(epoch from window_ends_at - $3)::float8 as remaining`,
);

/** Takes `hits` from the budget of `key` in the window of one minute that is running or begins now. */
export async function countHits(
  autocommit: Autocommit,
  projectId: string,
  key: string,
  hits: number,
  now: Date,
): Promise<Window> {
  const [window] = await count(autocommit, [projectId, key, now, hits]);
  return window!;
}
