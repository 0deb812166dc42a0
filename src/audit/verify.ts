import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { statement } from '../database/statement.ts';
import { transact } from '../database/transaction.ts';
import { anchorOf, faultOfAnchor } from './anchor.ts';
import { genesis, isSame, markBytes, sealHash, sealVersion, utcText } from './chain.ts';
import { faultOfEvents, type SealedEvents } from './sealed-events.ts';
import { faultOfUnaccounted, unsealedOf } from './unaccounted.ts';

interface StoredSeal extends SealedEvents {
  readonly version: number;
  readonly event_count: number;
  readonly total: string;
  readonly previous_hash: Buffer;
  readonly hash: Buffer;
  readonly key_id: string;
}

/** A place in a chain, which somebody may keep elsewhere. */
export interface Head {
  readonly sequence: number;
  /** In hexadecimal. */
  readonly hash: string;
}

/** The chain of one project, as far as it was verified. */
export interface Chain extends Head {
  readonly project: string;
  /** Events in verified seals. */
  readonly events: number;
  /** All events of the chain up to the last verified seal, with those that retention has dropped. */
  readonly total: number;
  /** The last verified seal, or the last dropped one; 0 before the first. */
  readonly sequence: number;
  /** Events without a seal. */
  readonly unsealed: number;
  /** The first fault, in words. */
  readonly fault?: string;
}

/** How many events are compared together. */
const eventsPerBatch = 20_000;

export interface Verification {
  readonly keys: MasterKeys;
  /** Kept heads by the slugs of their projects. */
  readonly heads?: ReadonlyMap<string, Head>;
  /** Called after each batch of seals, with the number of events in all seals of the project. */
  readonly progress?: (chain: Chain, all: number) => void;
}

const readProjects = statement<{ id: string; slug: string }, object>(
  'audit_projects',
  'select id, slug from projects order by id',
);

const readSeals = statement<StoredSeal, { projectId: string; after: number }>(
  'audit_seals_after',
  `select project_id, sequence, version, day::text, ${utcText('first_at')} as first_at, ${utcText('last_at')} as last_at,
     event_count, total::text, events, previous_hash, hash, key_id
   from audit_seals where project_id = :projectId and sequence > :after order by sequence limit 200`,
);

const countSealed = statement<{ count: number }, { projectId: string }>(
  'audit_count_sealed',
  'select coalesce(sum(event_count), 0)::float8 as count from audit_seals where project_id = :projectId',
);

/**
 * Verifies the chain of every project from its anchor or its first seal, and compares each event with its sealed digest.
 * Reports the first event that was altered, removed, added or moved. Events without a seal are only counted.
 *
 * Attack: removing the last seals together with their events leaves no gap. Only a head that is kept elsewhere reveals it.
 */
export function verifyTrail(orm: MikroORM, verification: Verification): Promise<Chain[]> {
  const { heads } = verification;
  return transact(orm, async (em) => {
    await em.execute('set transaction isolation level repeatable read, read only');
    const projects = await readProjects(em, {});
    const slugs = new Set(projects.map(({ slug }) => slug));
    for (const slug of heads?.keys() ?? []) if (!slugs.has(slug)) throw new Error(`there is no project '${slug}'`);
    const chains: Chain[] = [];
    for (const { id, slug } of projects) chains.push(await new ChainVerifier(em, id, slug, verification).run());
    return chains;
  });
}

/** The verification of one chain. */
class ChainVerifier {
  readonly #em: EntityManager;
  readonly #projectId: string;
  readonly #verification: Verification;
  readonly #kept: Head | undefined;
  #chain: Chain;

  constructor(em: EntityManager, projectId: string, slug: string, verification: Verification) {
    this.#em = em;
    this.#projectId = projectId;
    this.#verification = verification;
    this.#kept = verification.heads?.get(slug);
    this.#chain = {
      project: slug,
      events: 0,
      total: 0,
      sequence: 0,
      hash: genesis.toString('hex'),
      unsealed: 0,
    };
  }

  async run(): Promise<Chain> {
    const fault = (await this.#followSeals()) ?? (await faultOfUnaccounted(this.#em, this.#projectId));
    const unsealed = await unsealedOf(this.#em, this.#projectId);
    return { ...this.#chain, unsealed, ...(fault && { fault }) };
  }

  async #followSeals(): Promise<string | undefined> {
    const { keys, progress } = this.#verification;
    const projectId = this.#projectId;
    const anchor = await anchorOf(this.#em, projectId);
    const fault = anchor && (faultOfAnchor(keys, anchor) ?? this.#moveTo(anchor));
    if (fault) return fault;
    const all = progress ? (await countSealed(this.#em, { projectId }))[0]!.count : 0;
    const nextSeals = () => readSeals(this.#em, { projectId, after: this.#chain.sequence });
    for (let seals = await nextSeals(); seals.length > 0; seals = await nextSeals())
      for (const batch of batchesOf(seals)) {
        const fault = await this.#verifyBatch(batch, anchor?.day);
        if (fault) return fault;
        progress?.(this.#chain, all);
      }
    return this.#faultOfEnd(anchor?.sequence ?? 0);
  }

  /** The events of the seals before an invalid one are verified all the same, so that the first fault is reported. */
  async #verifyBatch(seals: readonly StoredSeal[], oldestKept: string | undefined): Promise<string | undefined> {
    const valid: StoredSeal[] = [];
    let fault: string | undefined;
    for (const seal of seals) {
      fault = this.#faultOfLink(seal);
      if (fault) break;
      valid.push(seal);
      const { sequence, hash, total, event_count: count } = seal;
      fault = this.#moveTo({ sequence, hash, total: Number(total) }, count);
      if (fault) break;
    }
    return (await faultOfEvents(this.#em, valid, oldestKept)) ?? fault;
  }

  #faultOfLink(seal: StoredSeal): string | undefined {
    const { sequence, version, key_id: keyId, previous_hash: previousHash, events, event_count: count } = seal;
    if (sequence !== this.#chain.sequence + 1) return `seal ${this.#chain.sequence + 1} is missing`;
    if (version !== sealVersion) return `seal ${sequence} has version ${version}, which this release cannot verify`;
    if (previousHash.toString('hex') !== this.#chain.hash) return `seal ${sequence} does not follow the one before it`;
    const total = Number(seal.total);
    const hash = sealHash(
      this.#verification.keys,
      { projectId: seal.project_id, sequence, day: seal.day, total, events, previousHash },
      keyId,
    );
    if (!hash) return `seal ${sequence} was created with master key '${keyId}', which is not among MASTER_KEYS`;
    const isCounted = count * markBytes === events.length && total === this.#chain.total + count;
    return isCounted && isSame(hash, seal.hash) ? undefined : `seal ${sequence} (of ${seal.day}) was altered`;
  }

  /** Returns the fault of a kept head of this place. */
  #moveTo({ sequence, hash, total }: Pick<StoredSeal, 'sequence' | 'hash'> & { total: number }, count = 0) {
    this.#chain = { ...this.#chain, sequence, hash: hash.toString('hex'), total, events: this.#chain.events + count };
    const isOther = this.#kept?.sequence === sequence && this.#kept.hash !== this.#chain.hash;
    return isOther ? `seal ${sequence} is not the one of the kept head: the trail was replaced` : undefined;
  }

  #faultOfEnd(dropped: number): string | undefined {
    const { sequence } = this.#chain;
    // Retention never drops the last seal.
    if (dropped > 0 && sequence === dropped) return `seal ${sequence + 1} is missing`;
    if (!this.#kept) return undefined;
    if (this.#kept.sequence < dropped)
      return `seal ${this.#kept.sequence} of the kept head was dropped with its day: keep a newer head`;
    return this.#kept.sequence > sequence
      ? `the trail ends with seal ${sequence}, before seal ${this.#kept.sequence} of the kept head: its end was removed`
      : undefined;
  }
}

function* batchesOf(seals: readonly StoredSeal[]): Generator<StoredSeal[]> {
  let batch: StoredSeal[] = [];
  let events = 0;
  for (const seal of seals) {
    batch.push(seal);
    events += seal.events.length / markBytes;
    if (events < eventsPerBatch) continue;
    yield batch;
    [batch, events] = [[], 0];
  }
  if (batch.length > 0) yield batch;
}
