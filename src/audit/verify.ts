import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { statement } from '../database/statement.ts';
import { transact } from '../database/transaction.ts';
import { genesis, isSame, markOf, sealHash, unpackMarks } from './chain.ts';
import { readEvents } from './seal.ts';

interface StoredSeal {
  readonly project_id: string;
  readonly sequence: number;
  readonly day: string;
  readonly first_at: string | Date;
  readonly last_at: string | Date;
  readonly events: Buffer;
  readonly previous_hash: Buffer;
  readonly hash: Buffer;
  readonly key_id: string;
}

/** The chain of one project, as far as it was verified. */
export interface Chain {
  readonly project: string;
  /** Events in verified seals. */
  events: number;
  /** The last verified seal; 0 before the first. */
  sequence: number;
  hash: string;
  /** Events without a seal. */
  unsealed: number;
  /** The first fault, in words. */
  fault?: string;
}

export interface Verification {
  readonly keys: MasterKeys;
  /** Earlier days may have been dropped. Undefined when all are kept. */
  readonly oldestKept: string | undefined;
  /** Called after each batch of seals. */
  readonly progress: (chain: Readonly<Chain>) => void;
}

const readProjects = statement<{ id: string; slug: string }, object>(
  'audit_projects',
  'select id, slug from projects order by id',
);

const readSeals = statement<StoredSeal, { projectId: string; after: number }>(
  'audit_seals_after',
  `select project_id, sequence, day::text, first_at, last_at, events, previous_hash, hash, key_id
   from audit_seals where project_id = :projectId and sequence > :after order by sequence limit 50`,
);

const countUnsealed = statement<{ count: number }, { projectId: string }>(
  'audit_count_unsealed',
  'select count(*)::int as count from audit_unsealed where project_id = :projectId',
);

// One statement, so that the counts are of the same moment while the trail grows.
const findUnaccounted = statement<{ day: string }, { projectId: string }>(
  'audit_days_unaccounted',
  `select e.day::text from (
     select (at at time zone 'UTC')::date as day, count(*) as count from audit_events where project_id = :projectId group by 1
   ) e where e.count >
     (select coalesce(sum(event_count), 0) from audit_seals s where s.project_id = :projectId and s.day = e.day) +
     (select count(*) from audit_unsealed u where u.project_id = :projectId and (u.at at time zone 'UTC')::date = e.day)
   order by e.day limit 1`,
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

/**
 * Verifies the chain of every project from its first kept seal, and compares each event with its sealed digest. Reports the
 * first event that was altered, removed, added or moved. Events without a seal are only counted.
 *
 * Attack: removing the last seals together with their events leaves no gap. Only the hash of a later seal, stored
 * elsewhere, reveals it.
 */
export function verifyTrail(orm: MikroORM, verification: Verification): Promise<Chain[]> {
  return transact(orm, async (em) => {
    await em.execute('set transaction isolation level repeatable read, read only');
    const chains: Chain[] = [];
    for (const { id, slug } of await readProjects(em, {})) chains.push(await followChain(em, id, slug, verification));
    return chains;
  });
}

async function followChain(em: EntityManager, id: string, slug: string, verification: Verification): Promise<Chain> {
  const chain: Chain = { project: slug, events: 0, sequence: 0, hash: '', unsealed: 0 };
  let previous: StoredSeal | undefined;
  const nextSeals = () => readSeals(em, { projectId: id, after: chain.sequence });
  for (let seals = await nextSeals(); seals.length > 0; seals = await nextSeals()) {
    for (const seal of seals) {
      const fault = faultOfLink(seal, previous, verification) ?? (await faultOfEvents(em, seal, verification));
      if (fault) return { ...chain, fault };
      previous = seal;
      chain.events += unpackMarks(seal.events).length;
      chain.sequence = seal.sequence;
      chain.hash = seal.hash.toString('hex');
    }
    verification.progress(chain);
  }
  chain.unsealed = (await countUnsealed(em, { projectId: id }))[0]!.count;
  const fault = await faultOfRest(em, id);
  return fault ? { ...chain, fault } : chain;
}

function faultOfLink(
  seal: StoredSeal,
  previous: StoredSeal | undefined,
  verification: Verification,
): string | undefined {
  const { sequence, key_id: keyId, previous_hash: previousHash } = seal;
  const expected = (previous?.sequence ?? 0) + 1;
  // The first seals are dropped with their days.
  const isFirstKept = !previous && verification.oldestKept !== undefined && sequence > 1;
  if (sequence !== expected && !isFirstKept) return `seal ${expected} is missing`;
  const before = previous?.hash ?? (sequence === 1 ? genesis : previousHash);
  if (!isSame(before, previousHash)) return `seal ${sequence} does not follow the one before it`;
  const head = { projectId: seal.project_id, sequence, day: seal.day, events: seal.events, previousHash };
  const hash = sealHash(verification.keys, head, keyId);
  if (!hash) return `seal ${sequence} was created with master key '${keyId}', which is not among MASTER_KEYS`;
  return isSame(hash, seal.hash) ? undefined : `seal ${sequence} (of ${seal.day}) was altered`;
}

async function faultOfEvents(
  em: EntityManager,
  seal: StoredSeal,
  { oldestKept }: Verification,
): Promise<string | undefined> {
  const marks = unpackMarks(seal.events);
  const { project_id: projectId, first_at: firstAt, last_at: lastAt } = seal;
  const events = await readEvents(em, { projectId, firstAt, lastAt, ids: marks.map(({ id }) => id) });
  const found = new Map(events.map((each) => [each.id, each]));
  if (found.size === 0 && oldestKept !== undefined && seal.day < oldestKept) return undefined;
  for (const { id, digest } of marks) {
    const event = found.get(id);
    if (!event) return `event ${id} of ${seal.day} (seal ${seal.sequence}) was removed or its time was changed`;
    if (!isSame(markOf(event).digest, digest)) return `event ${id} of ${seal.day} (seal ${seal.sequence}) was altered`;
  }
  return undefined;
}

async function faultOfRest(em: EntityManager, projectId: string): Promise<string | undefined> {
  const [unaccounted] = await findUnaccounted(em, { projectId });
  if (!unaccounted) return undefined;
  const [event] = await findUnsealed(em, { projectId, day: unaccounted.day });
  return `event ${event?.id} of ${unaccounted.day} was added without a seal`;
}
