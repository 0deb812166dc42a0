import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import type { JsonObject } from '@bufbuild/protobuf';
import { type CborValue, cbor } from './cbor.ts';

export type Algorithm = 'ES256' | 'EdDSA' | 'RS256';

interface Traits {
  readonly origin?: string;
  /** Whether it checks who uses it. */
  readonly verifiesUser?: boolean;
  /** Whether its credentials are copied to other devices. */
  readonly isSynced?: boolean;
  /** Whether it counts its signatures. */
  readonly counts?: boolean;
  readonly algorithm?: Algorithm;
}

interface Held {
  readonly id: Buffer;
  readonly rpId: string;
  readonly userHandle: string;
  readonly key: KeyObject;
  readonly algorithm: Algorithm;
}

/** What a hostile client or authenticator does otherwise. */
export interface Deviation {
  readonly clientData?: Readonly<Record<string, unknown>>;
  readonly rpId?: string;
  /** Bits that are inverted: 1 present, 4 verified, 8 backup eligible, 16 backed up, 64 attested, 128 extensions. */
  readonly flip?: number;
  readonly signCount?: number;
  /** Appended to the signed data. */
  readonly trailing?: Buffer;
  readonly userHandle?: string | null;
  /** Replaces the COSE key of a registration. */
  readonly coseKey?: Buffer;
  readonly credentialId?: Buffer;
  readonly attestationObject?: (authData: Buffer) => Buffer;
  readonly tamper?: boolean;
}

export const flags = { present: 1, verified: 4, eligible: 8, backedUp: 16, attested: 64, extensions: 128 } as const;

/** A security key or a phone together with its browser: real keys, real signatures, and the JSON of `toJSON`. */
export class SoftwareAuthenticator {
  readonly #traits: Required<Traits>;
  readonly #held: Held[] = [];
  #signatures = 0;

  constructor(traits: Traits = {}) {
    this.#traits = {
      ...{ origin: 'http://gatehouse.test', verifiesUser: true, isSynced: false, counts: true, algorithm: 'ES256' },
      ...traits,
    };
  }

  /** The ids of its credentials, newest last. */
  get ids(): string[] {
    return this.#held.map(({ id }) => id.toString('base64url'));
  }

  /** `navigator.credentials.create`. Throws InvalidStateError for a credential that the options exclude. */
  create(options: JsonObject, deviation: Deviation = {}): JsonObject {
    const { rp, user, challenge, excludeCredentials = [] } = options as unknown as CreationOptions;
    if (excludeCredentials.some(({ id }) => this.ids.includes(id))) throw new Error('InvalidStateError');
    const { algorithm } = this.#traits;
    const { privateKey, publicKey } = generateKeys(algorithm);
    const id = deviation.credentialId ?? randomBytes(32);
    const replaced = this.#held.findIndex((each) => each.rpId === rp.id && each.userHandle === user.id);
    if (replaced >= 0) this.#held.splice(replaced, 1);
    this.#held.push({ id, rpId: rp.id, userHandle: user.id, key: privateKey, algorithm });
    const key = deviation.coseKey ?? coseKey(publicKey, algorithm);
    const idLength = Buffer.alloc(2);
    idLength.writeUInt16BE(id.length);
    const attested = Buffer.concat([Buffer.alloc(16), idLength, id, key]);
    const authData = this.#authData(rp.id, flags.attested, attested, deviation);
    const attestationObject = deviation.attestationObject?.(authData) ?? attestationOf(authData);
    const clientData = this.#clientData('webauthn.create', challenge, deviation);
    return envelope(id, { clientDataJSON: clientData, attestationObject, transports: ['internal', 'hybrid'] });
  }

  /** `navigator.credentials.get`, with the newest credential that the options allow. */
  get(options: JsonObject, deviation: Deviation = {}): JsonObject {
    const { rpId, challenge, allowCredentials = [] } = options as unknown as RequestOptions;
    const allowed = allowCredentials.map(({ id }) => id);
    const isAllowed = ({ id }: Held) => allowed.length === 0 || allowed.includes(id.toString('base64url'));
    const held = this.#held.filter((each) => each.rpId === rpId && isAllowed(each)).at(-1);
    if (!held) throw new Error('NotAllowedError');
    const authenticatorData = this.#authData(rpId, 0, Buffer.alloc(0), deviation);
    const clientDataJSON = this.#clientData('webauthn.get', challenge, deviation);
    const signed = Buffer.concat([authenticatorData, createHash('sha256').update(clientDataJSON).digest()]);
    const signature = sign(held.algorithm === 'EdDSA' ? null : 'sha256', signed, held.key);
    if (deviation.tamper) signature[signature.length - 1]! ^= 1;
    const { userHandle = held.userHandle } = deviation;
    const id = deviation.credentialId ?? held.id;
    return envelope(id, { clientDataJSON, authenticatorData, signature, ...(userHandle !== null && { userHandle }) });
  }

  #authData(rpId: string, extra: number, attested: Buffer, deviation: Deviation): Buffer {
    const { verifiesUser, isSynced, counts } = this.#traits;
    if (counts) this.#signatures++;
    const verified = verifiesUser ? flags.verified : 0;
    const synced = isSynced ? flags.eligible | flags.backedUp : 0;
    const bits = (flags.present | verified | synced | extra) ^ (deviation.flip ?? 0);
    const count = Buffer.alloc(4);
    count.writeUInt32BE(deviation.signCount ?? this.#signatures);
    const hash = createHash('sha256')
      .update(deviation.rpId ?? rpId)
      .digest();
    return Buffer.concat([hash, Buffer.of(bits), count, attested, deviation.trailing ?? Buffer.alloc(0)]);
  }

  #clientData(type: string, challenge: string, { clientData }: Deviation): Buffer {
    const { origin } = this.#traits;
    return Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false, ...clientData }));
  }
}

interface CreationOptions {
  readonly rp: { readonly id: string };
  readonly user: { readonly id: string };
  readonly challenge: string;
  readonly excludeCredentials?: readonly { readonly id: string }[];
}

interface RequestOptions {
  readonly rpId: string;
  readonly challenge: string;
  readonly allowCredentials?: readonly { readonly id: string }[];
}

/** An attestation object, with the statement `none` unless another is given. */
export function attestationOf(authData: Buffer, fmt = 'none', statement: CborValue = new Map()): Buffer {
  return cbor(
    new Map<CborValue, CborValue>([
      ['fmt', fmt],
      ['attStmt', statement],
      ['authData', authData],
    ]),
  );
}

export function coseOf(entries: readonly (readonly [number, CborValue])[]): Buffer {
  return cbor(new Map<CborValue, CborValue>(entries));
}

function coseKey(publicKey: KeyObject, algorithm: Algorithm): Buffer {
  const jwk = publicKey.export({ format: 'jwk' });
  const bytes = (name: 'x' | 'y' | 'n' | 'e') => Buffer.from(jwk[name]!, 'base64url');
  if (algorithm === 'ES256')
    return coseOf([
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, bytes('x')],
      [-3, bytes('y')],
    ]);
  if (algorithm === 'EdDSA')
    return coseOf([
      [1, 1],
      [3, -8],
      [-1, 6],
      [-2, bytes('x')],
    ]);
  return coseOf([
    [1, 3],
    [3, -257],
    [-1, bytes('n')],
    [-2, bytes('e')],
  ]);
}

function generateKeys(algorithm: Algorithm) {
  if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' });
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

function envelope(id: Buffer, response: Readonly<Record<string, Buffer | string | string[]>>): JsonObject {
  const encoded = Object.entries(response).map(([name, value]) => [
    name,
    Buffer.isBuffer(value) ? value.toString('base64url') : value,
  ]);
  const text = id.toString('base64url');
  return {
    ...{ id: text, rawId: text, type: 'public-key', clientExtensionResults: {} },
    authenticatorAttachment: 'platform',
    response: Object.fromEntries(encoded),
  };
}
