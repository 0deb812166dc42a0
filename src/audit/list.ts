import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { eventColumns, type StoredEvent, storedEvent, utcText } from './chain.ts';

export type FoundEvent = StoredEvent;

export interface EventFilter {
  readonly userId: string | undefined;
  readonly action: string | undefined;
  readonly from: Date | undefined;
  readonly until: Date | undefined;
}

/** The position of an event in the trail. */
export interface Position {
  readonly at: string;
  readonly id: string;
}

/**
 * The number of events examined for one page with an action. No index contains the action, because every new event would
 * have to be added to it.
 */
const mostExamined = 10_000;

interface Search {
  readonly projectId: string;
  readonly from: Date | null;
  readonly until: Date | null;
  readonly afterAt: string | null;
  readonly afterId: string | null;
  readonly action: string | null;
  readonly examine: number;
  readonly limit: number;
}

type Row = StoredEvent & { readonly examined: number; readonly last_at: string; readonly last_id: string };

// Newest first, after a position. The index begins with the columns that are asked for, and the position is one comparison
// that the index can start at. Partitions outside the times are not opened. Each row also has the last event that was
// examined, and the number of examined events.
const search = (whose: string) => `with seen as (
     select ${eventColumns()} from audit_events where project_id = :projectId ${whose}
       and at >= coalesce(:from::timestamptz, '-infinity') and at < coalesce(:until::timestamptz, 'infinity')
       and at <= coalesce(:afterAt::timestamptz, 'infinity')
       and (at, id) < (coalesce(:afterAt::timestamptz, 'infinity'), coalesce(:afterId::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
     order by at desc, id desc limit :examine
   ), rest as (
     select count(*)::int as examined, ${utcText('min(at)')} as last_at, (array_agg(id order by at, id))[1] as last_id from seen
   )
   select rest.examined, rest.last_at, rest.last_id, ${eventColumns('e')} from rest left join lateral (
     select ${storedEvent} from seen where :action::text is null or action = :action order by seen.at desc, id desc limit :limit
   ) e on true`;

const listAll = statement<Row, Search>('audit_list', search(''));
const listOfUser = statement<Row, Search & { userId: string }>('audit_list_of_user', search('and user_id = :userId'));

/** One page of a project's events, and the position it ends at when there may be more. */
export async function listEvents(
  autocommit: Autocommit,
  projectId: string,
  { userId, action, from, until }: EventFilter,
  { after, limit }: { after: Position | undefined; limit: number },
): Promise<{ events: readonly FoundEvent[]; next: Position | undefined }> {
  const examine = action ? mostExamined : limit + 1;
  const values: Search = {
    projectId,
    from: from ?? null,
    until: until ?? null,
    afterAt: after?.at ?? null,
    afterId: after?.id ?? null,
    action: action ?? null,
    examine,
    limit: limit + 1,
  };
  const rows = userId ? await listOfUser(autocommit, { ...values, userId }) : await listAll(autocommit, values);
  const found = rows.filter(({ id }) => id !== null);
  const events = found.slice(0, limit);
  const last = events.at(-1);
  if (found.length > limit && last) return { events, next: { at: last.at, id: last.id } };
  const { examined, last_at: at, last_id: id } = rows[0]!;
  return { events, next: examined === examine ? { at, id } : undefined };
}
