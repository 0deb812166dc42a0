import { defaultProjectId } from '../src/project/project.ts';

type Query = (text: string, values?: unknown[]) => Promise<unknown>;

/** Number of events in the same millisecond, as in an import. */
export const burst = 100;
const users = 1000;

export const userOf = (n: number) => `01900000-0001-7000-8000-${(n % users).toString(16).padStart(12, '0')}`;

/** One event in this many has the rare action. */
export const rare = { action: 'user.ban', oneIn: 5000 };

/**
 * Inserts a trail of events of a thousand users, evenly over the days until now and at random times of the day. No event
 * waits for a seal.
 */
export async function fillTrail(query: Query, count: number, days: number): Promise<void> {
  await query(`select audit_events_add_day(day::date, null)
    from generate_series((now() at time zone 'UTC')::date - ${days}, (now() at time zone 'UTC')::date, interval '1 day') day`);
  await query('alter table audit_events disable trigger audit_events_queue');
  const step = 100_000;
  for (let from = 0; from < count; from += step)
    await query(
      `insert into audit_events (id, project_id, at, action, result, actor_kind, user_id, address, user_agent, request_id)
       select ('01900000-0000-7000-8000-' || lpad(to_hex((n::bigint * 7919) % 16777216), 12, '0'))::uuid, '${defaultProjectId}',
         today - ($4 - 1 - day) * interval '1 day' + (at - day) * case day when $4 - 1 then last - today else interval '1 day' end,
         case when n % ${rare.oneIn} = 7 then '${rare.action}' else 'auth.login' end, 'SUCCESS', 'user',
         ('01900000-0001-7000-8000-' || lpad(to_hex(n % ${users}), 12, '0'))::uuid, '192.0.2.1', 'a browser', ''
       from generate_series($1::int, $2::int) n,
         (select now() - interval '1 minute' as last) moment,
         lateral (select date_trunc('day', last, 'UTC') as today,
           (n / ${burst} * ${burst})::float8 / $3::int * $4::int as at) place,
         lateral (select floor(at)::int as day) days`,
      [from, Math.min(count, from + step) - 1, count, days],
    );
  await query('alter table audit_events enable trigger audit_events_queue');
  await query('analyze audit_events');
}
