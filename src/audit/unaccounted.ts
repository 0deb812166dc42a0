import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';

const countUnsealed = statement<{ count: number }, { projectId: string }>(
  'audit_count_unsealed',
  'select count(*)::int as count from audit_unsealed where project_id = :projectId',
);

// One statement, so that the counts are of the same moment while the trail grows.
const findUnaccounted = statement<{ day: string }, { projectId: string }>(
  'audit_days_unaccounted',
  `with stored as (
     select (at at time zone 'UTC')::date as day, count(*) as count from audit_events where project_id = :projectId group by 1
   ), sealed as (
     select day, sum(event_count) as count from audit_seals where project_id = :projectId group by 1
   ), waiting as (
     select (at at time zone 'UTC')::date as day, count(*) as count from audit_unsealed where project_id = :projectId group by 1
   )
   select stored.day::text from stored left join sealed using (day) left join waiting using (day)
   where stored.count > coalesce(sealed.count, 0) + coalesce(waiting.count, 0) order by stored.day limit 1`,
);

// EXCEPT reads each side once, whatever sizes the planner estimates. When the planner took one side for tiny, a join read
// all seals once for each event.
const findUnsealed = statement<{ id: string }, { projectId: string; day: string }>(
  'audit_event_unaccounted',
  `select id from audit_events
   where project_id = :projectId
     and at >= :day::timestamp at time zone 'UTC' and at < (:day::timestamp + interval '1 day') at time zone 'UTC'
   except (
     select encode(substring(events from n * 32 + 1 for 16), 'hex')::uuid
     from audit_seals, generate_series(0, event_count - 1) n where project_id = :projectId and day = :day::date
     union all select id from audit_unsealed where project_id = :projectId)
   order by id limit 1`,
);

/** The number of events of a project that wait for a seal. */
export async function unsealedOf(em: EntityManager, projectId: string): Promise<number> {
  return (await countUnsealed(em, { projectId }))[0]!.count;
}

/** The fault of an event that has no seal and does not wait for one. The counts of the seals have been verified. */
export async function faultOfUnaccounted(em: EntityManager, projectId: string): Promise<string | undefined> {
  const [unaccounted] = await findUnaccounted(em, { projectId });
  if (!unaccounted) return undefined;
  const [event] = await findUnsealed(em, { projectId, day: unaccounted.day });
  return `event ${event?.id} of ${unaccounted.day} was added without a seal`;
}
