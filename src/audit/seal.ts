import { defineEntity, type EntityManager, type MikroORM, p } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { Autocommit } from '../database/autocommit.ts';
import { insert } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { lockIfFree, transact } from '../database/transaction.ts';
import { projectColumn } from '../project/project.ts';
import { genesis, markOf, packMarks, type StoredEvent, sealHash, storedEvent, utcText } from './chain.ts';

const AuditSealTable = defineEntity({
  name: 'AuditSeal',
  tableName: 'audit_seals',
  properties: {
    projectId: () => projectColumn().primary(),
    sequence: p.integer().primary().autoincrement(false),
    day: p.date(),
    firstAt: p.datetime(3),
    lastAt: p.datetime(3),
    eventCount: p.integer(),
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

const AuditUnsealedTable = defineEntity({
  name: 'AuditUnsealed',
  tableName: 'audit_unsealed',
  properties: {
    projectId: () => projectColumn().primary(),
    at: p.datetime(3).primary(),
    id: p.uuid().primary(),
  },
});

/**
 * An event that has no seal yet. A trigger adds the row in the event's transaction, so an event that commits late is queued
 * late and is not skipped, whatever its time.
 */
export class AuditUnsealed extends AuditUnsealedTable.class {}
AuditUnsealedTable.setClass(AuditUnsealed);

type Queued = Pick<StoredEvent, 'id' | 'project_id' | 'at'>;

export interface Backlog {
  /** Events without a seal, counted up to a limit. */
  readonly count: number;
  readonly oldest: Date | null;
}

const mostCounted = 10_000;
const batch = 2_000;

const readBacklog = statement<{ count: number; oldest: Date | null }, object>(
  'audit_backlog',
  `select count(*)::int as count, min(at) as oldest from (select at from audit_unsealed limit ${mostCounted}) queue`,
);

const takeQueued = statement<Queued, object>(
  'audit_take_unsealed',
  `delete from audit_unsealed where (project_id, at, id) in
     (select project_id, at, id from audit_unsealed order by project_id, at, id limit ${batch})
   returning project_id, ${utcText('at')} as at, id`,
);

const readLastSeal = statement<{ sequence: number; hash: Buffer }, { projectId: string }>(
  'audit_last_seal',
  'select sequence, hash from audit_seals where project_id = :projectId order by sequence desc limit 1',
);

interface EventRange {
  readonly projectId: string;
  readonly firstAt: string | Date;
  readonly lastAt: string | Date;
  readonly ids: readonly string[];
}

/** The events with these ids, which lie between these times. */
export const readEvents = statement<StoredEvent, EventRange>(
  'audit_events_of_seal',
  `select ${storedEvent}
   from audit_events where project_id = :projectId and at between :firstAt and :lastAt and id = any(:ids::uuid[])`,
);

export async function backlogOf(orm: MikroORM): Promise<Backlog> {
  const [backlog] = await readBacklog(new Autocommit(orm), {});
  return backlog!;
}

/**
 * Seals the queued events batch by batch and returns their number. One replica at a time seals; the others return 0. Calls
 * that write events do not wait for it.
 */
export async function sealEvents(orm: MikroORM, keys: MasterKeys, now: Date): Promise<number> {
  let sealed = 0;
  for (let taken = batch; taken === batch; sealed += taken)
    taken = await transact(orm, async (em) => {
      if (!(await lockIfFree(em, 'seals'))) return 0;
      const queued = await takeQueued(em, {});
      for (const events of groupByDay(queued)) await seal(em, keys, events, now);
      return queued.length;
    });
  return sealed;
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
  const found = await readEvents(em, { projectId, firstAt, lastAt, ids: queued.map(({ id }) => id) });
  const byId = new Map(found.map((each) => [each.id, each]));
  // An event that was deleted before it was sealed keeps its place, so that verification reports it as missing.
  const marks = queued.map(({ id }) => {
    const event = byId.get(id);
    return event ? markOf(event) : { id, digest: Buffer.alloc(16) };
  });
  const [last = { sequence: 0, hash: genesis }] = await readLastSeal(em, { projectId });
  const previousHash = Buffer.from(last.hash);
  const head = {
    projectId,
    sequence: last.sequence + 1,
    day: firstAt.slice(0, 10),
    events: packMarks(marks),
    previousHash,
  };
  const hash = sealHash(keys, head, keys.activeId)!;
  const counted = {
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
