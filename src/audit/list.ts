import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import type { StoredEvent } from './chain.ts';

export type FoundEvent = StoredEvent;

export interface EventFilter {
  readonly userId: string | undefined;
  readonly action: string | undefined;
  readonly from: Date | undefined;
  readonly until: Date | undefined;
}

/** Where in the trail an event stands. */
export interface Position {
  readonly at: string;
  readonly id: string;
}

// There is no index by action, which every event would have to pay for: so many events are looked at for one page.
const examinedAtMost = 10_000;

const columns = `id, project_id, at, action, result, cause, actor_kind, actor_id, user_id, session_id, address, user_agent, request_id`;
const iso = (column: string) => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

// Newest first, from behind a position, by the index that begins with what is asked for; the position is one comparison,
// which the index can begin at. Partitions outside of the times are not opened. Next to the events stands the last one that
// was looked at, and how many were.
const select = (whose: string) => `with seen as (
     select ${columns} from audit_events where project_id = $1 ${whose}
       and at >= coalesce($2::timestamptz, '-infinity') and at < coalesce($3::timestamptz, 'infinity')
       and at <= coalesce($4::timestamptz, 'infinity')
       and (at, id) < (coalesce($4::timestamptz, 'infinity'), coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
     order by at desc, id desc limit $6
   ), rest as (select count(*)::int as examined, ${iso('min(at)')} as last_at, (array_agg(id order by at, id))[1] as last_id from seen)
   select rest.*, e.* from rest left join lateral (
     select id, project_id, ${iso('at')} as at, action, result, cause, actor_kind, actor_id, user_id, session_id, address, user_agent, request_id
     from seen where $7::text is null or action = $7 order by seen.at desc, id desc limit $8
   ) e on true`;

type Row = StoredEvent & { readonly examined: number; readonly last_at: string; readonly last_id: string };

const listAll = statement<Row>('audit_list', select(''));
const listOfUser = statement<Row>('audit_list_of_user', select('and user_id = $9'));

/** One page of a project's events, and the position it ends at when there may be more. */
export async function listEvents(
  autocommit: Autocommit,
  projectId: string,
  { userId, action, from, until }: EventFilter,
  { after, limit }: { after: Position | undefined; limit: number },
): Promise<{ events: readonly FoundEvent[]; next: Position | undefined }> {
  const examine = action ? examinedAtMost : limit + 1;
  const place = [after?.at ?? null, after?.id ?? null];
  const values = [projectId, from ?? null, until ?? null, ...place, examine, action ?? null, limit + 1];
  const rows = userId ? await listOfUser(autocommit, [...values, userId]) : await listAll(autocommit, values);
  const found = rows.filter(({ id }) => id !== null);
  const events = found.slice(0, limit);
  const last = events.at(-1);
  if (found.length > limit && last) return { events, next: { at: last.at, id: last.id } };
  const { examined, last_at: at, last_id: id } = rows[0]!;
  return { events, next: examined === examine ? { at, id } : undefined };
}
