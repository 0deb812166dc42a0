import { defineEntity, type EntityManager, type MikroORM, p } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { insert } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { projectColumn } from '../project/project.ts';
import {
  eventColumns,
  genesis,
  markOf,
  packMarks,
  type StoredEvent,
  sealHash,
  sealVersion,
  storedEvent,
} from './chain.ts';
import { type Queued, UnsealedQueue } from './queue.ts';

const AuditSealTable = defineEntity({
  name: 'AuditSeal',
  tableName: 'audit_seals',
  properties: {
    projectId: () => projectColumn().primary(),
    sequence: p.integer().primary().autoincrement(false),
    version: p.smallint(),
    day: p.date(),
    firstAt: p.datetime(3),
    lastAt: p.datetime(3),
    eventCount: p.integer(),
    total: p.bigint('number'),
    events: p.blob(),
    previousHash: p.blob(),
    hash: p.blob(),
    keyId: p.string().length(64),
    sealedAt: p.datetime(3),
  },
  indexes: [{ name: 'audit_seals_day', properties: ['projectId', 'day', 'sequence'] }],
  triggers: [
    {
      name: 'audit_seals_append_only',
      timing: 'before',
      events: ['update', 'delete'],
      forEach: 'statement',
      body: `if tg_op = 'DELETE' and current_setting('gatehouse.retention', true) = 'on' then return null; end if; raise exception 'audit seals are never changed' using errcode = '42501';`,
    },
  ],
});

/**
 * A link of a project's chain: the events of one day in order, each with a digest of its columns, and a hash that covers
 * them and the hash of the link before. Changing, removing, adding or reordering sealed events breaks the chain (verify.ts).
 */
export class AuditSeal extends AuditSealTable.class {}
AuditSealTable.setClass(AuditSeal);

const readLastSeal = statement<{ sequence: number; hash: Buffer; total: string }, { projectId: string }>(
  'audit_last_seal',
  'select sequence, hash, total::text from audit_seals where project_id = :projectId order by sequence desc limit 1',
);

interface Places {
  readonly projectId: string;
  readonly firstAt: string;
  readonly lastAt: string;
  readonly times: readonly string[];
  readonly ids: readonly string[];
}

// Each event by its key: one that is sealed late would otherwise have all events of its day read. The range of times is
// for the partitions.
const readQueuedEvents = statement<StoredEvent, Places>(
  'audit_events_of_queue',
  `select ${storedEvent('e')} from unnest(:times::timestamptz[], :ids::uuid[]) queued (at, id)
   join lateral (
     select ${eventColumns()} from audit_events a where a.project_id = :projectId and a.at = queued.at and a.id = queued.id
       and a.at between :firstAt and :lastAt limit 1
   ) e on true`,
);

/**
 * Seals the queued events batch by batch and returns their number. One replica at a time seals; the others return 0. Calls
 * that write events do not wait for it.
 */
export function sealEvents(
  orm: MikroORM,
  keys: MasterKeys,
  now: Date,
  queue = new UnsealedQueue(orm),
): Promise<number> {
  return queue.drain(async (em, queued) => {
    for (const events of groupByDay(queued)) await seal(em, keys, events, now);
  });
}

/** A seal covers one project and one day, so that the seals of a day can be dropped with it. */
function groupByDay(queued: readonly Queued[]): Queued[][] {
  const groups = Map.groupBy(queued, (each) => `${each.project_id} ${each.at.slice(0, 10)}`);
  return [...groups]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([, group]) => group.sort((a, b) => (a.at + a.id < b.at + b.id ? -1 : 1)));
}

async function seal(em: EntityManager, keys: MasterKeys, queued: readonly Queued[], now: Date): Promise<void> {
  const { project_id: projectId, at: firstAt } = queued[0]!;
  const lastAt = queued.at(-1)!.at;
  const places = { times: queued.map(({ at }) => at), ids: queued.map(({ id }) => id) };
  const found = await readQueuedEvents(em, { projectId, firstAt, lastAt, ...places });
  const byId = new Map(found.map((each) => [each.id, each]));
  // An event that was deleted before it was sealed keeps its place, so that verification reports it as missing.
  const marks = queued.map(({ id }) => {
    const event = byId.get(id);
    return event ? markOf(event) : { id, digest: Buffer.alloc(16) };
  });
  const [last = { sequence: 0, hash: genesis, total: '0' }] = await readLastSeal(em, { projectId });
  const previousHash = Buffer.from(last.hash);
  const head = {
    projectId,
    sequence: last.sequence + 1,
    total: Number(last.total) + marks.length,
    day: firstAt.slice(0, 10),
    events: packMarks(marks),
    previousHash,
  };
  const hash = sealHash(keys, head, keys.activeId)!;
  const counted = {
    version: sealVersion,
    eventCount: marks.length,
    firstAt: new Date(firstAt),
    lastAt: new Date(lastAt),
    sealedAt: now,
    keyId: keys.activeId,
  };
  await insert(em, Object.assign(new AuditSeal(), { ...head, ...counted, hash }));
}

/** The UTC day of a time, in PostgreSQL's format of a date. */
export function dayOf(at: Date): string {
  return at.toISOString().slice(0, 10);
}
