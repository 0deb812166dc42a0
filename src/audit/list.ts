import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { eventColumns, type StoredEvent, storedEvent, utcText } from './chain.ts';

export type FoundEvent = StoredEvent;

export interface EventFilter {
  readonly userId?: string | undefined;
  readonly action?: string | undefined;
  readonly actorId?: string | undefined;
  readonly sessionId?: string | undefined;
  readonly address?: string | undefined;
  readonly result?: 'SUCCESS' | 'FAILURE' | undefined;
  readonly entityType?: string | undefined;
  readonly entityId?: string | undefined;
  readonly from?: Date | undefined;
  readonly until?: Date | undefined;
}

/** The position of an event in the trail. */
export interface Position {
  readonly at: string;
  readonly id: string;
}

/**
 * The number of events examined for one page with a filter other than the user and the times. No index contains the other
 * columns, because every new event would have to be added to it.
 */
const mostExamined = 10_000;

/** The columns that are compared with an event that was read. */
const compared = {
  action: 'action',
  actorId: 'actor_id',
  sessionId: 'session_id::text',
  address: 'address',
  result: 'result',
  entityType: 'entity_type',
  entityId: 'entity_id',
} as const satisfies Partial<Record<keyof EventFilter, string>>;

type Compared = keyof typeof compared;

interface Search extends Readonly<Record<Compared, string | null>> {
  readonly projectId: string;
  readonly from: Date | null;
  readonly until: Date | null;
  readonly afterAt: string | null;
  readonly afterId: string | null;
  readonly examine: number;
  readonly limit: number;
}

type Row = StoredEvent & {
  readonly examined: number;
  readonly last_at: string;
  readonly last_id: string;
  readonly has_older: boolean | null;
};

const isWanted = Object.entries(compared)
  .map(([name, column]) => `(:${name}::text is null or ${column} = :${name})`)
  .join(' and ');

// Of a day before this time, or misfiled. Null while the page may be full.
const hasOlder = `case when rest.examined < :examine and :from::timestamptz is not null then exists (
       select 1 from pg_inherits join pg_class c on c.oid = inhrelid where inhparent = 'audit_events'::regclass
         and relname < 'audit_events_' || to_char(:from::timestamptz at time zone 'UTC', 'YYYYMMDD'))
     or exists (select 1 from audit_events_default where project_id = :projectId and at < :from) end`;

// Newest first, after a position. The index begins with the columns that are asked for, and the position is one comparison
// that the index can start at. Partitions outside the times are not opened. Each row also has the last event that was
// examined, the number of examined events, and whether there may be older ones.
const search = (whose: string) => `with seen as (
     select ${eventColumns()} from audit_events where project_id = :projectId ${whose}
       and at >= coalesce(:from::timestamptz, '-infinity') and at < coalesce(:until::timestamptz, 'infinity')
       and at <= coalesce(:afterAt::timestamptz, 'infinity')
       and (at, id) < (coalesce(:afterAt::timestamptz, 'infinity'), coalesce(:afterId::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
     order by at desc, id desc limit :examine
   ), rest as (
     select count(*)::int as examined, ${utcText('min(at)')} as last_at, (array_agg(id order by at, id))[1] as last_id from seen
   )
   select rest.examined, rest.last_at, rest.last_id, ${hasOlder} as has_older, ${eventColumns('e')} from rest left join lateral (
     select ${storedEvent('seen')} from seen where ${isWanted} order by seen.at desc, id desc limit :limit
   ) e on true`;

const listAll = statement<Row, Search>('audit_list', search(''));
const listOfUser = statement<Row, Search & { userId: string }>('audit_list_of_user', search('and user_id = :userId'));

interface PageRequest {
  readonly after: Position | undefined;
  readonly limit: number;
  readonly now: Date;
}

/** One page of a project's events, and the position it ends at when there may be more. */
export async function listEvents(
  autocommit: Autocommit,
  projectId: string,
  filter: EventFilter,
  { after, limit, now }: PageRequest,
): Promise<{ events: readonly FoundEvent[]; next: Position | undefined }> {
  const names = Object.keys(compared) as Compared[];
  const wanted = Object.fromEntries(names.map((name) => [name, filter[name] ?? null])) as Record<
    Compared,
    string | null
  >;
  const examine = names.some((name) => wanted[name] !== null) ? mostExamined : limit + 1;
  const position = { afterAt: after?.at ?? null, afterId: after?.id ?? null };
  const found: FoundEvent[] = [];
  let examined = 0;
  let last: Position | undefined;
  for (const times of stretchesOf(filter, after, now)) {
    const left = { examine: examine - examined, limit: limit + 1 - found.length };
    const values: Search = { projectId, ...wanted, ...position, ...times, ...left };
    const { userId } = filter;
    const rows = userId ? await listOfUser(autocommit, { ...values, userId }) : await listAll(autocommit, values);
    found.push(...rows.filter(({ id }) => id !== null));
    const { examined: count, last_at: at, last_id: id, has_older: hasOlder } = rows[0]!;
    examined += count;
    if (count > 0) last = { at, id };
    if (found.length > limit || examined === examine || !hasOlder) break;
  }
  const events = found.slice(0, limit);
  const end = events.at(-1);
  if (found.length > limit && end) return { events, next: { at: end.at, id: end.id } };
  return { events, next: examined === examine ? last : undefined };
}

interface Times {
  readonly from: Date | null;
  readonly until: Date | null;
}

const dayMs = 86_400_000;
const lengths = [1, 8, 64, 512];

/**
 * The times of a search, newest first: a day or two, then ever longer stretches, each of whole days in UTC. A page that the last days fill opens none of the
 * hundreds of partitions before.
 */
function* stretchesOf({ from, until }: EventFilter, after: Position | undefined, now: Date): Generator<Times> {
  const latest = Math.min(
    now.getTime(),
    ...[until, after && new Date(after.at)].flatMap((time) => time?.getTime() ?? []),
  );
  const earliest = from?.getTime() ?? Number.NEGATIVE_INFINITY;
  let end = until ?? null;
  for (const days of lengths) {
    const start = new Date(Math.floor(latest / dayMs - days) * dayMs);
    if (!(start.getTime() > earliest)) break;
    yield { from: start, until: end };
    end = start;
  }
  yield { from: from ?? null, until: end };
}
