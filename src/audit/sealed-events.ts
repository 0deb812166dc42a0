import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { isSame, type Mark, markOf, type StoredEvent, storedEvent, unpackMarks } from './chain.ts';

/** The parts of a seal that lead to its events. */
export interface SealedEvents {
  readonly project_id: string;
  readonly sequence: number;
  readonly day: string;
  /** Of its first and its last event, as text in UTC. */
  readonly first_at: string;
  readonly last_at: string;
  readonly events: Buffer;
}

interface Stretch {
  readonly projectId: string;
  readonly from: string;
  readonly afterId: string;
  readonly until: string;
}

const pageSize = 5_000;

const readStretch = statement<StoredEvent, Stretch>(
  'audit_events_between',
  `select ${storedEvent('e')} from audit_events e
   where e.project_id = :projectId and e.at <= :until::timestamptz and (e.at, e.id) > (:from::timestamptz, :afterId::uuid)
   order by e.at, e.id limit ${pageSize}`,
);

/**
 * Compares the events of seals with their digests, and returns the first fault. Events of days before `oldestKept` may have
 * been dropped, all of a seal together.
 *
 * A seal has no times of its single events, so everything between its first and its last is read: once for all seals of a
 * day.
 */
export async function faultOfEvents(
  em: EntityManager,
  seals: readonly SealedEvents[],
  oldestKept: string | undefined,
): Promise<string | undefined> {
  const marks = new Map(seals.map((seal) => [seal, unpackMarks(seal.events)]));
  const found = new Map<string, Buffer>();
  for (const ofDay of Map.groupBy(seals, ({ day }) => day).values()) await findMarks(em, ofDay, marks, found);
  for (const [seal, sealed] of marks) {
    const isDropped = oldestKept !== undefined && seal.day < oldestKept && !sealed.some(({ id }) => found.has(id));
    const fault = isDropped ? undefined : faultOfSeal(seal, sealed, found);
    if (fault) return fault;
  }
  return undefined;
}

function faultOfSeal({ day, sequence }: SealedEvents, marks: readonly Mark[], found: ReadonlyMap<string, Buffer>) {
  for (const { id, digest } of marks) {
    const stored = found.get(id);
    if (!stored) return `event ${id} of ${day} (seal ${sequence}) was removed or its time was changed`;
    if (!isSame(stored, digest)) return `event ${id} of ${day} (seal ${sequence}) was altered`;
  }
  return undefined;
}

/** Adds the digests of the stored events of these seals, which are of one day, to `found`. */
async function findMarks(
  em: EntityManager,
  seals: readonly SealedEvents[],
  marks: ReadonlyMap<SealedEvents, readonly Mark[]>,
  found: Map<string, Buffer>,
): Promise<void> {
  const wanted = new Set(seals.flatMap((seal) => marks.get(seal)!.map(({ id }) => id)));
  const projectId = seals[0]!.project_id;
  const until = seals.map((seal) => seal.last_at).reduce((one, other) => (one > other ? one : other));
  let from = seals.map((seal) => seal.first_at).reduce((one, other) => (one < other ? one : other));
  let afterId = '00000000-0000-0000-0000-000000000000';
  for (let size = pageSize; size === pageSize; ) {
    const events = await readStretch(em, { projectId, from, afterId, until });
    for (const event of events) if (wanted.has(event.id)) found.set(event.id, markOf(event).digest);
    size = events.length;
    ({ at: from, id: afterId } = events.at(-1) ?? { at: from, id: afterId });
  }
}
