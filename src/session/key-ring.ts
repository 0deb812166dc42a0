import type { KeyObject } from 'node:crypto';
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import type { JWK } from 'jose';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { insert } from '../database/insert.ts';
import { lockInstallation, transact } from '../database/transaction.ts';
import { Refusal } from '../errors.ts';
import { SigningKey, type SigningKeyState } from './signing-key.ts';

export interface Signer {
  readonly id: string;
  readonly privateKey: KeyObject;
}

/** How old a replica's picture of the keys may get: a revoked key is refused everywhere after this many milliseconds. */
export const keyRefreshInterval = 5_000;

/** How long, in milliseconds, those who verify tokens may go on with a key set they have fetched. */
export const jwksCacheTime = 300_000;

/** The signing keys as this replica last saw them. */
export class KeyRing {
  readonly #orm: MikroORM;
  readonly #keys: MasterKeys;
  #signer: Signer | undefined;
  #verifiers: ReadonlyMap<string, KeyObject> = new Map();
  #jwks: readonly JWK[] = [];
  #states: readonly { state: SigningKeyState; since: Date }[] = [];
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(orm: MikroORM, keys: MasterKeys) {
    this.#orm = orm;
    this.#keys = keys;
  }

  signer(): Signer {
    if (!this.#signer) throw new Error('no active signing key has been read');
    return this.#signer;
  }

  /** The public keys of standby, active and retired keys. */
  jwks(): { keys: readonly JWK[] } {
    return { keys: this.#jwks };
  }

  /** In which state each key is, and since when; revoked ones are not read. */
  states(): readonly { state: SigningKeyState; since: Date }[] {
    return this.#states;
  }

  /**
   * The public key of a `kid`. An unknown one asks the database, at most once per refresh interval however many unknown
   * ids arrive, since anyone can make them up.
   */
  async verifier(kid: string): Promise<KeyObject | undefined> {
    if (!this.#verifiers.has(kid) && performance.now() - this.#readAt > keyRefreshInterval) await this.reload();
    return this.#verifiers.get(kid);
  }

  /** Reads the keys anew. When the database cannot be reached, the last picture stays in use. */
  reload(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    this.#readAt = performance.now();
    const all = await this.#orm.em
      .fork()
      .find(SigningKey, { state: { $ne: 'revoked' } }, { orderBy: { createdAt: 1 } });
    const active = all.find((each) => each.state === 'active');
    if (active && active.id !== this.#signer?.id)
      this.#signer = { id: active.id, privateKey: active.privateKey(this.#keys) };
    this.#verifiers = new Map(all.map((each) => [each.id, this.#verifiers.get(each.id) ?? each.publicKey()]));
    this.#jwks = all.map((each) => each.toJwk());
    this.#states = all.map(({ state, stateChangedAt }) => ({ state, since: stateChangedAt }));
  }
}

/** Makes the first keys of an installation: one that signs and one that stands by. */
export async function ensureSigningKeys(em: EntityManager, keys: MasterKeys, now: Date): Promise<void> {
  for (const state of ['active', 'standby'] as const)
    if (!(await em.findOne(SigningKey, { state }))) await insert(em, await SigningKey.create(keys, state, now));
}

/**
 * Puts the standby key to work, retires the active one, and makes a new standby. Tokens signed before stay good until
 * they expire. Throws KEY_TOO_YOUNG, unless forced, while verifiers may hold a key set without the standby key.
 */
export async function rotateKeys(
  em: EntityManager,
  keys: MasterKeys,
  { force, now }: { force: boolean; now: Date },
): Promise<void> {
  await lockInstallation(em);
  const standby = await em.findOneOrFail(SigningKey, { state: 'standby' });
  const wait = (standby.stateChangedAt.getTime() + jwksCacheTime - now.getTime()) / 1000;
  if (wait > 0 && !force) throw new Refusal('KEY_TOO_YOUNG', { retryAfter: Math.ceil(wait) });
  await change(em, { state: 'active' }, 'retired', now);
  await change(em, { state: 'standby' }, 'active', now);
  await insert(em, await SigningKey.create(keys, 'standby', now));
}

/** Refuses everything a key ever signed. The active and the standby key are replaced. False when there is no such key. */
export async function revokeKey(em: EntityManager, keys: MasterKeys, id: string, now: Date): Promise<boolean> {
  await lockInstallation(em);
  const found = await change(em, { id }, 'revoked', now);
  if (!(await em.findOne(SigningKey, { state: 'active' }))) await change(em, { state: 'standby' }, 'active', now);
  await ensureSigningKeys(em, keys, now);
  return found;
}

export function listKeys(em: EntityManager): Promise<SigningKey[]> {
  return em.findAll(SigningKey, { orderBy: { createdAt: 1 } });
}

/** The same for whoever is not called: the command line. */
export function rotateSigningKey(orm: MikroORM, keys: MasterKeys, now: Date, force = false): Promise<void> {
  return transact(orm, (em) => rotateKeys(em, keys, { force, now }));
}

export function revokeSigningKey(orm: MikroORM, keys: MasterKeys, id: string, now: Date): Promise<boolean> {
  return transact(orm, (em) => revokeKey(em, keys, id, now));
}

export function listSigningKeys(orm: MikroORM): Promise<SigningKey[]> {
  return listKeys(orm.em.fork());
}

async function change(
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
