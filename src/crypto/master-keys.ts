import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';

export interface MasterKey {
  readonly id: string;
  readonly key: Buffer;
}

/** By the id of a key: shows whether two processes have the same key, and reveals nothing else. */
export type KeyChecks = Readonly<Record<string, string>>;

export function keyChecksOf(keys: readonly MasterKey[]): KeyChecks {
  const checkOf = ({ id, key }: MasterKey) =>
    createHmac('sha256', deriveFrom(key, labelOf(id, 'check')))
      .update('check')
      .digest('base64url');
  return Object.fromEntries(keys.map((each) => [each.id, checkOf(each)]));
}

/** The id of the master key with which `seal` encrypted a value. */
export function sealedUnder(sealed: Buffer): string {
  return sealed.toString('utf8', 1, 1 + sealed[0]!);
}

/**
 * The installation's secrets, from MASTER_KEYS. The first one encrypts and signs; all of them decrypt and verify.
 *
 * No master key is used directly. Each purpose has a key of its own, derived with HKDF-SHA-256 (RFC 5869) from the name of
 * the purpose, so that a value created for one purpose is invalid for every other.
 */
export class MasterKeys {
  readonly #keys: ReadonlyMap<string, Buffer>;
  readonly #derived = new Map<string, Buffer>();
  readonly #macKeys = new Map<string, Map<string, KeyObject>>();
  readonly activeId: string;

  constructor(keys: readonly MasterKey[]) {
    if (!keys[0]) throw new Error('at least one master key is needed');
    this.activeId = keys[0].id;
    this.#keys = new Map(keys.map(({ id, key }) => [id, key]));
  }

  /** The purpose's 32-byte key under one master key, or undefined when that master key is unknown. */
  derive(purpose: string, id = this.activeId): Buffer | undefined {
    const label = labelOf(id, purpose);
    const known = this.#derived.get(label);
    if (known) return known;
    const key = this.#keys.get(id);
    if (!key) return undefined;
    const derived = deriveFrom(key, label);
    this.#derived.set(label, derived);
    return derived;
  }

  /** The same as a key object, with which an HMAC takes a quarter of the time. */
  macKey(purpose: string, id = this.activeId): KeyObject | undefined {
    const known = this.#macKeys.get(purpose)?.get(id);
    if (known) return known;
    const derived = this.derive(purpose, id);
    if (!derived) return undefined;
    const key = createSecretKey(derived);
    const ofPurpose = this.#macKeys.get(purpose) ?? new Map<string, KeyObject>();
    this.#macKeys.set(purpose, ofPurpose.set(id, key));
    return key;
  }

  /** HMAC-SHA-256, for values that are too easily guessed to be stored as a plain hash. */
  mac(purpose: string, data: string): Buffer {
    return createHmac('sha256', this.macKey(purpose)!).update(data).digest();
  }

  /** The same under each of the keys, the active one first: for values that are found by their MAC. */
  macs(purpose: string, data: string): Buffer[] {
    return [...this.#keys.keys()].map((id) => createHmac('sha256', this.macKey(purpose, id)!).update(data).digest());
  }

  /** Whether `mac` is the MAC of `data` under any of the keys. */
  isMac(purpose: string, data: string, mac: Buffer): boolean {
    return this.macs(purpose, data).some((each) => timingSafeEqual(each, mac));
  }

  /** Encrypts with AES-256-GCM. `about` is authenticated as well, so that a value cannot be moved to another row. */
  seal(purpose: string, about: string, plain: Buffer): Buffer {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.derive(purpose)!, nonce).setAAD(Buffer.from(about));
    const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
    const id = Buffer.from(this.activeId);
    return Buffer.concat([Buffer.of(id.length), id, nonce, cipher.getAuthTag(), sealed]);
  }

  /** Decrypts a value of `seal`. Throws when the key is unknown or anything was altered. */
  open(purpose: string, about: string, sealed: Buffer): Buffer {
    const start = 1 + sealed[0]!;
    const id = sealedUnder(sealed);
    const key = this.derive(purpose, id);
    if (!key) throw new Error(`sealed with master key '${id}', which is not configured`);
    // Otherwise a tag of 4 bytes would do, which somebody can guess.
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(start, start + 12), { authTagLength: 16 })
      .setAAD(Buffer.from(about))
      .setAuthTag(sealed.subarray(start + 12, start + 28));
    return Buffer.concat([decipher.update(sealed.subarray(start + 28)), decipher.final()]);
  }

  checks(): KeyChecks {
    return keyChecksOf([...this.#keys].map(([id, key]) => ({ id, key })));
  }
}

function labelOf(id: string, purpose: string): string {
  return `gatehouse ${id} ${purpose}`;
}

function deriveFrom(key: Buffer, label: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, '', label, 32));
}
