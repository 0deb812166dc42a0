import { defineEntity, type EntityManager, type MikroORM, p } from '@mikro-orm/postgresql';
import { CompiledQuery } from 'kysely';
import { lockLease } from '../database/lease.ts';
import { compile } from '../database/statement.ts';
import { transact } from '../database/transaction.ts';
import { projectColumn } from '../project/project.ts';
import { type StoredEvent, utcText } from './chain.ts';

const AuditUnsealedTable = defineEntity({
  name: 'AuditUnsealed',
  tableName: 'audit_unsealed',
  properties: {
    writtenBy: p.string().columnType('xid8').defaultRaw('pg_current_xact_id()').primary(),
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    at: p.datetime(3),
  },
});

/**
 * An event that has no seal yet. A trigger adds the row in the event's transaction, so an event that commits late is queued
 * late and is not skipped, whatever its time.
 */
export class AuditUnsealed extends AuditUnsealedTable.class {}
AuditUnsealedTable.setClass(AuditUnsealed);

export type Queued = Pick<StoredEvent, 'id' | 'project_id' | 'at'>;

export interface Backlog {
  /** Events without a seal, counted up to a limit. */
  readonly count: number;
  readonly oldest: Date | null;
}

/** Which transactions a snapshot does not see: those from `next` on, and the ones that were running. */
export interface Unseen {
  readonly next: string;
  readonly running: readonly string[];
}

/**
 * SQL: whether events wait that the snapshot of `:next` and `:running` does not see. After a restore from a backup the
 * cluster counts its transactions from an earlier number: then the queue has to look. False without a snapshot.
 */
export const isUnsealed = `(:next::xid8 is not null and (exists (select 1 from audit_unsealed where written_by = any(:running::xid8[]))
     or exists (select 1 from audit_unsealed where written_by >= :next::xid8)
     or pg_snapshot_xmax(pg_current_snapshot()) < :next::xid8))`;

const everything: Unseen = { next: '0', running: [] };
const mostCounted = 10_000;
const batch = 2_000;

const readBacklog = planned<{ count: number; oldestMs: number | null; snapshot: string }, Unseen>(
  `select count(*)::int as count, (extract(epoch from min(at)) * 1000)::float8 as "oldestMs",
     pg_current_snapshot()::text as snapshot from (
     (select at from audit_unsealed where written_by = any(:running::xid8[]) order by written_by, id limit ${mostCounted})
     union all
     (select at from audit_unsealed where written_by >= :next::xid8 order by written_by, id limit ${mostCounted})
   ) queue`,
);

interface Position {
  readonly writtenBy: string;
  readonly id: string;
}

type Taken = Queued & Position;

// By their places in the table: a plan that joins would read every deleted row that an old snapshot still sees.
const take = (which: string) => `delete from audit_unsealed where ctid = any(array(
     select ctid from audit_unsealed where (written_by, id) > (:writtenBy::xid8, :id::uuid) ${which}
     order by written_by, id limit ${batch}))
   returning written_by::text as "writtenBy", project_id, ${utcText('at')} as at, id`;

const takeNew = planned<Taken, Position>(take(''));
const takeLate = planned<Taken, Position & { running: readonly string[] }>(
  take('and written_by = any(:running::xid8[])'),
);

type Work = (em: EntityManager, queued: readonly Queued[]) => Promise<void>;
type Take = (em: EntityManager, after: Position) => Promise<Taken[]>;

/**
 * The queue of the events without a seal, as one replica reads it.
 *
 * While any transaction of the cluster holds an old snapshot, PostgreSQL keeps the deleted rows of the queue, and a look from
 * its beginning would read all of them. So each replica remembers a snapshot up to which all events were taken, and looks
 * only for rows that this snapshot does not see.
 */
export class UnsealedQueue {
  readonly #orm: MikroORM;
  readonly #holder: string | undefined;
  #unseen = everything;
  #isCurrent = false;
  /** The unsealed events at the last look. */
  backlog: Backlog = { count: 0, oldest: null };

  /** `holder` must have the lease. Undefined for anybody. */
  constructor(orm: MikroORM, holder?: string) {
    this.#orm = orm;
    this.#holder = holder;
  }

  /**
   * What the last drain has not seen. Undefined while another replica drains, and until this one has drained again: a look
   * from an older snapshot would read all that the other one has taken.
   */
  unseen(isDraining: boolean): Unseen | undefined {
    if (!isDraining) this.#isCurrent = false;
    return this.#isCurrent ? this.#unseen : undefined;
  }

  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  /**
   * Takes the queued events batch by batch, each in one transaction with the work on it. Returns their number. One replica
   * at a time takes; the others return 0.
   */
  async drain(work: Work): Promise<number> {
    const snapshot = await this.#look();
    const { next, running } = this.#unseen;
    const progress = { count: 0, isComplete: true };
    if (this.backlog.count > 0) {
      if (running.length > 0)
        await this.#takeAll((em, after) => takeLate(em, { ...after, running }), beginning('0'), { work, progress });
      if (progress.isComplete) await this.#takeAll(takeNew, beginning(next), { work, progress });
    }
    // Race: events that were committed after the look are in transactions that its snapshot does not see.
    if (progress.isComplete) this.#unseen = unseenBy(snapshot);
    this.#isCurrent = progress.isComplete;
    return progress.count;
  }

  async #look(): Promise<string> {
    const [look] = await readBacklog(this.#orm.em.fork(), this.#unseen);
    const { count, oldestMs, snapshot } = look!;
    // The cluster was restored from a backup, and counts its transactions from an earlier number.
    const isRestored = BigInt(unseenBy(snapshot).next) < BigInt(this.#unseen.next);
    if (isRestored) this.#unseen = everything;
    this.backlog = { count, oldest: oldestMs === null ? null : new Date(oldestMs) };
    return isRestored ? this.#look() : snapshot;
  }

  async #takeAll(take: Take, from: Position, run: { work: Work; progress: { count: number; isComplete: boolean } }) {
    const { work, progress } = run;
    for (let after = from, taken = batch; taken === batch && progress.isComplete; progress.count += taken)
      taken = await transact(this.#orm, async (em) => {
        progress.isComplete = await lockLease(em, 'audit seals', this.#holder);
        if (!progress.isComplete) return 0;
        const queued = await take(em, after);
        after = queued.reduce(later, after);
        await work(em, queued);
        return queued.length;
      });
  }
}

/** The position before all events of this transaction and of later ones. */
function beginning(writtenBy: string): Position {
  return { writtenBy, id: '00000000-0000-0000-0000-000000000000' };
}

function later(one: Position, other: Position): Position {
  const difference = BigInt(one.writtenBy) - BigInt(other.writtenBy);
  return difference > 0n || (difference === 0n && one.id > other.id) ? one : other;
}

/** PostgreSQL writes a snapshot as `xmin:xmax:running,...`. */
function unseenBy(snapshot: string): Unseen {
  const [, next, running] = snapshot.split(':');
  return { next: next!, running: running ? running.split(',') : [] };
}

/**
 * A statement that is planned each time. A plan that was prepared while the queue was empty reads the whole table, and stays
 * in use when an old snapshot keeps millions of deleted rows in it.
 */
function planned<Row, Values extends object>(sql: string) {
  const { text, valuesOf } = compile(sql);
  return async (em: EntityManager, values: Values): Promise<Row[]> => {
    const compiled = CompiledQuery.raw(text, valuesOf(values as Readonly<Record<string, unknown>>));
    return (await em.getKysely().executeQuery<Row>(compiled)).rows;
  };
}
