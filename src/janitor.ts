import type { MikroORM } from '@mikro-orm/postgresql';
import { Direct } from './database/direct.ts';
import { statement } from './database/prepared.ts';

const batch = 500;
const dayMs = 86_400_000;

const sweepLimits = statement<{ key: string }>(
  'sweep_rate_limits',
  `delete from rate_limits where (project_id, key) in
     (select project_id, key from rate_limits where window_ends_at < $1 order by window_ends_at limit ${batch} for update skip locked)
   returning key`,
);

const sweepSessions = statement<{ id: string }>(
  'sweep_sessions',
  `delete from sessions where id in
     (select id from sessions where expires_at < $1 order by expires_at limit ${batch} for update skip locked)
   returning id`,
);

const sweepUsage = statement<{ subject: string }>(
  'sweep_usage',
  `delete from usage_counters where (project_id, subject) in
     (select project_id, subject from usage_counters where resets_at < $1 order by resets_at limit ${batch} for update skip locked)
   returning subject`,
);

const sweepBilling = statement<{ id: string }>(
  'sweep_billing_events',
  `delete from billing_events where (project_id, event_id) in
     (select project_id, event_id from billing_events where received_at < $1 order by received_at limit ${batch} for update skip locked)
   returning event_id as id`,
);

const sweepTokens = statement<{ id: string }>(
  'sweep_one_time_tokens',
  `delete from one_time_tokens where id in
     (select id from one_time_tokens where expires_at < $1 order by expires_at limit ${batch} for update skip locked)
   returning id`,
);

const sweepMails = statement<{ id: string }>(
  'sweep_mail_outbox',
  `delete from mail_outbox where id in
     (select id from mail_outbox where ended_at < $1 order by ended_at limit ${batch} for update skip locked)
   returning id`,
);

/**
 * Removes rows nobody can use any more, in small batches that wait for no lock. Nothing depends on it: whether something
 * has expired is asked in the query that uses it.
 */
export async function sweep(orm: MikroORM, now: Date): Promise<number> {
  const direct = new Direct(orm);
  let removed = 0;
  for (const [run, before] of [
    [sweepLimits, new Date(now.getTime() - dayMs / 24)],
    [sweepSessions, new Date(now.getTime() - 30 * dayMs)],
    [sweepUsage, new Date(now.getTime() - 30 * dayMs)],
    [sweepBilling, new Date(now.getTime() - 90 * dayMs)],
    [sweepTokens, new Date(now.getTime() - 7 * dayMs)],
    [sweepMails, new Date(now.getTime() - 7 * dayMs)],
  ] as const) {
    for (let rows = batch; rows === batch; removed += rows) rows = (await run(direct, [before])).length;
  }
  return removed;
}
