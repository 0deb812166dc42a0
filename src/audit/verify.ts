import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { statement } from '../database/statement.ts';
import { transact } from '../database/transaction.ts';
import { genesis, isSame, markOf, sealHash, unpackMarks } from './chain.ts';
import { eventsBetween } from './seal.ts';

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

/** The chain of one project, as far as it was followed. */
export interface Chain {
  readonly project: string;
  /** Events whose seal was checked. */
  events: number;
  /** The last seal that was checked; 0 before the first. */
  sequence: number;
  hash: string;
  /** Events that wait for their seal. */
  unsealed: number;
  /** The first thing that is wrong, in words. */
  fault?: string;
}

export interface Verification {
  readonly keys: MasterKeys;
  /** Events of days before this one may be gone. Undefined where all are kept. */
  readonly oldestKept: string | undefined;
  /** Told now and then how far it is. */
  readonly progress: (chain: Readonly<Chain>) => void;
}

const readProjects = statement<{ id: string; slug: string }>(
  'audit_projects',
  'select id, slug from projects order by id',
);

const readSeals = statement<StoredSeal>(
  'audit_seals_after',
  `select project_id, sequence, day::text, first_at, last_at, events, previous_hash, hash, key_id
   from audit_seals where project_id = $1 and sequence > $2 order by sequence limit 50`,
);

const countUnsealed = statement<{ count: number }>(
  'audit_count_unsealed',
  'select count(*)::int as count from audit_unsealed where project_id = $1',
);

// By one statement, which sees one moment of a trail that grows.
const findUnaccounted = statement<{ day: string }>(
  'audit_days_unaccounted',
  `select e.day::text from (
     select (at at time zone 'UTC')::date as day, count(*) as count from audit_events where project_id = $1 group by 1
   ) e where e.count >
     (select coalesce(sum(event_count), 0) from audit_seals s where s.project_id = $1 and s.day = e.day) +
     (select count(*) from audit_unsealed u where u.project_id = $1 and (u.at at time zone 'UTC')::date = e.day)
   order by e.day limit 1`,
);

// EXCEPT goes through each side once, whatever the planner believes of their sizes: where it took one for tiny, a join
// looked through all seals once for each event.
const findUnsealed = statement<{ id: string }>(
  'audit_event_unaccounted',
  `select id from audit_events
   where project_id = $1 and at >= $2::timestamp at time zone 'UTC' and at < ($2::timestamp + interval '1 day') at time zone 'UTC'
   except (
     select encode(substring(events from n * 32 + 1 for 16), 'hex')::uuid
     from audit_seals, generate_series(0, event_count - 1) n where project_id = $1 and day = $2::date
     union all select id from audit_unsealed where project_id = $1)
   order by id limit 1`,
);

/**
 * Follows the chain of every project from its first kept seal, and compares each event with what was sealed of it. Finds
 * the first that was altered, removed, added or put elsewhere; what has no seal yet is only counted.
 *
 * Whoever removes the last seals together with their events leaves no gap: only somebody who remembers the hash of a
 * later seal can tell.
 */
export function verifyTrail(orm: MikroORM, verification: Verification): Promise<Chain[]> {
  return transact(orm, async (em) => {
    await em.execute('set transaction isolation level repeatable read, read only');
    const chains: Chain[] = [];
    for (const { id, slug } of await readProjects(em, [])) chains.push(await followChain(em, id, slug, verification));
    return chains;
  });
}

async function followChain(em: EntityManager, id: string, slug: string, verification: Verification): Promise<Chain> {
  const chain: Chain = { project: slug, events: 0, sequence: 0, hash: '', unsealed: 0 };
  let previous: StoredSeal | undefined;
  for (let seals = await readSeals(em, [id, 0]); seals.length > 0; seals = await readSeals(em, [id, chain.sequence])) {
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
  chain.unsealed = (await countUnsealed(em, [id]))[0]!.count;
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
  // The first seals go with the days that are dropped.
  const isFirstKept = !previous && verification.oldestKept !== undefined && sequence > 1;
  if (sequence !== expected && !isFirstKept) return `seal ${expected} is missing`;
  const before = previous?.hash ?? (sequence === 1 ? genesis : previousHash);
  if (!isSame(before, previousHash)) return `seal ${sequence} does not follow the one before it`;
  const head = { projectId: seal.project_id, sequence, day: seal.day, events: seal.events, previousHash };
  const hash = sealHash(verification.keys, head, keyId);
  if (!hash) return `seal ${sequence} was made with master key '${keyId}', which is not among MASTER_KEYS`;
  return isSame(hash, seal.hash) ? undefined : `seal ${sequence} (of ${seal.day}) was altered`;
}

async function faultOfEvents(
  em: EntityManager,
  seal: StoredSeal,
  { oldestKept }: Verification,
): Promise<string | undefined> {
  const marks = unpackMarks(seal.events);
  const range = { firstAt: seal.first_at, lastAt: seal.last_at, ids: marks.map(({ id }) => id) };
  const found = new Map((await eventsBetween(em, seal.project_id, range)).map((each) => [each.id, each]));
  if (found.size === 0 && oldestKept !== undefined && seal.day < oldestKept) return undefined;
  for (const { id, digest } of marks) {
    const event = found.get(id);
    if (!event) return `event ${id} of ${seal.day} (seal ${seal.sequence}) was removed or dated otherwise`;
    if (!isSame(markOf(event).digest, digest)) return `event ${id} of ${seal.day} (seal ${seal.sequence}) was altered`;
  }
  return undefined;
}

async function faultOfRest(em: EntityManager, projectId: string): Promise<string | undefined> {
  const [unaccounted] = await findUnaccounted(em, [projectId]);
  if (!unaccounted) return undefined;
  const [event] = await findUnsealed(em, [projectId, unaccounted.day]);
  return `event ${event?.id} of ${unaccounted.day} was added past the chain`;
}
