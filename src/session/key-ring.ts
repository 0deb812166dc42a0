import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import type { JWK } from 'jose';
import { type MasterKeys, sealedUnder } from '../crypto/master-keys.ts';
import { insert } from '../database/insert.ts';
import { lockWork } from '../database/lease.ts';
import { lockInstallation, transact } from '../database/transaction.ts';
import { Refusal } from '../errors.ts';
import type { ImportedKey } from './imported-key.ts';
import type { JwtSigner, JwtVerifier } from './jwt.ts';
import { SigningKey, type SigningKeyState } from './signing-key.ts';

/** Milliseconds between two reads of the keys for tokens with an unknown key. A change is read within a second or two. */
export const keyRefreshInterval = 5_000;

/** Milliseconds for which verifiers may cache the key set. */
const jwksCacheTime = 300_000;

/** The signing keys as this replica last read them. */
export class KeyRing {
  readonly #orm: MikroORM;
  readonly #keys: MasterKeys;
  #signer: JwtSigner | undefined;
  #verifiers: ReadonlyMap<string, JwtVerifier> = new Map();
  #jwks: readonly JWK[] = [];
  #states: readonly { state: SigningKeyState; since: Date }[] = [];
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(orm: MikroORM, keys: MasterKeys) {
    this.#orm = orm;
    this.#keys = keys;
  }

  signer(): JwtSigner {
    if (!this.#signer) throw new Error('no active signing key has been read');
    return this.#signer;
  }

  /** The public keys of standby, active and retired keys. */
  jwks(): { keys: readonly JWK[] } {
    return { keys: this.#jwks };
  }

  /** The state of each key, and since when. Revoked keys are left out. */
  states(): readonly { state: SigningKeyState; since: Date }[] {
    return this.#states;
  }

  /**
   * The public key of a `kid`. An unknown `kid` reads the database, at most once per refresh interval: anyone can send
   * made-up ids.
   */
  async verifier(kid: string): Promise<JwtVerifier | undefined> {
    if (!this.#verifiers.has(kid) && performance.now() - this.#readAt > keyRefreshInterval) await this.reload();
    return this.#verifiers.get(kid);
  }

  /** Reads the keys again. While the database cannot be reached, the keys of the last read stay in use. */
  reload(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    this.#readAt = performance.now();
    const all = (await listKeys(this.#orm.em.fork())).filter(({ state }) => state !== 'revoked');
    const active = all.find((each) => each.state === 'active');
    if (active && active.id !== this.#signer?.id)
      this.#signer = { id: active.id, algorithm: active.algorithm, privateKey: active.privateKey(this.#keys) };
    this.#verifiers = new Map(all.map((each) => [each.id, this.#verifiers.get(each.id) ?? each.verifier()]));
    this.#jwks = all.map((each) => each.toJwk());
    this.#states = all.map(({ state, stateChangedAt }) => ({ state, since: stateChangedAt }));
  }
}

/**
 * Checks by `join` that this process fits its database, and creates the signing keys that are missing. One process at a
 * time. Returns what `join` returns.
 */
export function prepareInstallation<T>(
  orm: MikroORM,
  keys: MasterKeys,
  join: (em: EntityManager) => Promise<T>,
  now: Date,
): Promise<T> {
  return transact(orm, async (em) => {
    await lockInstallation(em);
    await lockWork(em, 'signing keys');
    const joined = await join(em);
    await ensureSigningKeys(em, keys, now);
    return joined;
  });
}

/** Creates the first keys of an installation: one that signs and one on standby. */
async function ensureSigningKeys(em: EntityManager, keys: MasterKeys, now: Date): Promise<void> {
  for (const state of ['active', 'standby'] as const)
    if (!(await em.findOne(SigningKey, { state }))) await insert(em, await SigningKey.create(keys, state, now));
}

/**
 * Activates the standby key, retires the active one and creates a new standby key. Earlier tokens stay valid until they
 * expire. Returns the key that is active now. Throws KEY_TOO_YOUNG, unless forced, while verifiers may have cached a key set without the standby key.
 */
export async function rotateKeys(
  em: EntityManager,
  keys: MasterKeys,
  { force, now }: { force: boolean; now: Date },
): Promise<SigningKey> {
  await lockWork(em, 'signing keys');
  const standby = await em.findOneOrFail(SigningKey, { state: 'standby' });
  const wait = (standby.stateChangedAt.getTime() + jwksCacheTime - now.getTime()) / 1000;
  if (wait > 0 && !force) throw new Refusal('KEY_TOO_YOUNG', { retryAfter: Math.ceil(wait) });
  await setState(em, { state: 'active' }, 'retired', now);
  await setState(em, { state: 'standby' }, 'active', now);
  await insert(em, await SigningKey.create(keys, 'standby', now));
  return standby;
}

/**
 * Puts a key of another system on standby, in place of the key that has waited there and signed nothing. A rotation activates
 * it. Throws an error whose message is a sentence for people if a key has its id.
 */
export async function importKey(
  em: EntityManager,
  keys: MasterKeys,
  imported: ImportedKey,
  now: Date,
): Promise<SigningKey> {
  await lockWork(em, 'signing keys');
  const key = await SigningKey.import(keys, imported, now);
  if (await em.findOne(SigningKey, { id: key.id })) throw new Error(`there is a key ${key.id} already`);
  await setState(em, { state: 'standby' }, 'retired', now);
  await insert(em, key);
  return key;
}

/** Invalidates every token that a key signed. An active or standby key is replaced. False when no key has this id. */
export async function revokeKey(em: EntityManager, keys: MasterKeys, id: string, now: Date): Promise<boolean> {
  await lockWork(em, 'signing keys');
  const found = await setState(em, { id }, 'revoked', now);
  if (!(await em.findOne(SigningKey, { state: 'active' }))) await setState(em, { state: 'standby' }, 'active', now);
  await ensureSigningKeys(em, keys, now);
  return found;
}

/**
 * Retires the keys that are encrypted under a master key which is given up: nobody can sign with them. The next start
 * creates others. Returns how many.
 */
export async function retireSealedUnder(em: EntityManager, masterKeyId: string, now: Date): Promise<number> {
  const signing = await em.find(SigningKey, { state: { $in: ['active', 'standby'] } });
  const lost = signing.filter(({ privateSealed }) => sealedUnder(Buffer.from(privateSealed)) === masterKeyId);
  for (const key of lost) key.become('retired', now);
  return lost.length;
}

/** All keys, oldest first. Keys of one millisecond, such as the first two, are ordered by state: those to sign later last. */
export async function listKeys(em: EntityManager): Promise<SigningKey[]> {
  const keys = await em.findAll(SigningKey, { orderBy: { createdAt: 1 } });
  return keys.sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime() || ranks[a.state] - ranks[b.state]);
}

const ranks: Record<SigningKey['state'], number> = { revoked: 0, retired: 1, active: 2, standby: 3 };

async function setState(
  em: EntityManager,
  which: { id: string } | { state: SigningKey['state'] },
  state: SigningKey['state'],
  now: Date,
): Promise<boolean> {
  const key = await em.findOne(SigningKey, which);
  key?.become(state, now);
  await em.flush();
  return key !== null;
}
