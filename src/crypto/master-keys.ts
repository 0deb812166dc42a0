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

/**
 * The installation's secrets, from MASTER_KEYS. The first seals and signs; the others still open and verify.
 *
 * No master key is used itself: each purpose has a key of its own, derived with HKDF-SHA-256 (RFC 5869) from the
 * purpose's name, so that nothing made for one purpose means anything to another.
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
    const label = `gatehouse ${id} ${purpose}`;
    const known = this.#derived.get(label);
    if (known) return known;
    const key = this.#keys.get(id);
    if (!key) return undefined;
    const derived = Buffer.from(hkdfSync('sha256', key, '', label, 32));
    this.#derived.set(label, derived);
    return derived;
  }

  /** The same as a key object, which makes an HMAC four times as cheap as bytes do. */
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

  /** HMAC-SHA-256 of what is too easily guessed to be stored as a plain hash. */
  mac(purpose: string, data: string): Buffer {
    return createHmac('sha256', this.macKey(purpose)!).update(data).digest();
  }

  /** Whether it is the mac of `data`, under any of the keys. */
  isMac(purpose: string, data: string, mac: Buffer): boolean {
    const macUnder = (id: string) => createHmac('sha256', this.macKey(purpose, id)!).update(data).digest();
    return [...this.#keys.keys()].some((id) => timingSafeEqual(macUnder(id), mac));
  }

  /** Encrypts with AES-256-GCM. `about` is authenticated too, so that a sealed value opens only where it belongs. */
  seal(purpose: string, about: string, plain: Buffer): Buffer {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.derive(purpose)!, nonce).setAAD(Buffer.from(about));
    const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
    const id = Buffer.from(this.activeId);
    return Buffer.concat([Buffer.of(id.length), id, nonce, cipher.getAuthTag(), sealed]);
  }

  /** Decrypts what `seal` made. Throws when the key is unknown or anything was altered. */
  open(purpose: string, about: string, sealed: Buffer): Buffer {
    const start = 1 + sealed[0]!;
    const id = sealed.toString('utf8', 1, start);
    const key = this.derive(purpose, id);
    if (!key) throw new Error(`sealed with master key '${id}', which is not configured`);
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(start, start + 12))
      .setAAD(Buffer.from(about))
      .setAuthTag(sealed.subarray(start + 12, start + 28));
    return Buffer.concat([decipher.update(sealed.subarray(start + 28)), decipher.final()]);
  }

  /** A value per key that tells whether two processes hold the same one, and nothing else about it. */
  checks(): Record<string, string> {
    const check = (id: string) => createHmac('sha256', this.derive('check', id)!).update('check').digest('base64url');
    return Object.fromEntries([...this.#keys.keys()].map((id) => [id, check(id)]));
  }
}
