import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import argon2 from 'argon2';

/** The cost of one argon2id hash (RFC 9106). */
export interface HashCost {
  /** Memory in KiB. */
  readonly memoryCost: number;
  /** Passes over it. */
  readonly timeCost: number;
  /** Lanes. */
  readonly parallelism: number;
}

/** A secret that is kept outside the database and is part of every hash. */
export interface Pepper {
  readonly id: string;
  readonly key: Buffer;
}

/** Computes the raw argon2id tag, 32 bytes. */
export type Derive = (password: Buffer, salt: Buffer, cost: HashCost, pepper?: Buffer) => Promise<Buffer>;

interface Parsed {
  readonly cost: HashCost;
  readonly pepperId: string | undefined;
  readonly salt: Buffer;
  readonly tag: Buffer;
}

export const deriveWithArgon2: Derive = (password, salt, cost, pepper) =>
  argon2.hash(password, {
    type: argon2.argon2id,
    raw: true,
    hashLength: 32,
    salt,
    ...cost,
    ...(pepper && { secret: pepper }),
  });

/** The faster of the installed implementations: `@node-rs/argon2` takes a third of the CPU time of `argon2`. */
export async function fastestDerive(): Promise<Derive> {
  const rust = await import('@node-rs/argon2').catch(() => undefined);
  if (!rust) return deriveWithArgon2;
  return (password, salt, cost, pepper) =>
    rust.hashRaw(password, { algorithm: 2, outputLen: 32, salt, ...cost, ...(pepper && { secret: pepper }) });
}

/** A new hash as a PHC string, with the parameters in the order that libargon2 and its bindings accept. */
export async function hashWith(
  derive: Derive,
  password: Buffer,
  cost: HashCost,
  { pepper, salt = randomBytes(16) }: { pepper?: Pepper | undefined; salt?: Buffer } = {},
): Promise<string> {
  const tag = await derive(password, salt, cost, pepper?.key);
  const keyId = pepper ? `,keyid=${base64(Buffer.from(pepper.id))}` : '';
  const { memoryCost, timeCost, parallelism } = cost;
  return `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}${keyId}$${base64(salt)}$${base64(tag)}`;
}

/**
 * The salt of a hash that replaces an outdated one. It is derived from the old hash, so that parallel sign-ins compute the
 * same new hash, and none of them fails because another one replaced the hash that it checked.
 */
export function saltAfter(stored: string): Buffer {
  return createHash('sha256').update(stored).digest().subarray(0, 16);
}

/** Why no password can be checked against a stored hash. */
export type HashFault = { readonly kind: 'damaged' } | { readonly kind: 'pepper'; readonly pepper: string };

/** Undefined for a hash of ours that is not damaged, and whose pepper is known. */
export function hashFaultOf(stored: string, peppers: readonly Pepper[] = []): HashFault | undefined {
  const parsed = parse(stored);
  if (!parsed) return { kind: 'damaged' };
  const { pepperId } = parsed;
  const isKnown = pepperId === undefined || peppers.some(({ id }) => id === pepperId);
  return isKnown ? undefined : { kind: 'pepper', pepper: pepperId };
}

/** Whether the hash was made of this password. False for a hash that cannot be read. */
export async function verifyWith(
  derive: Derive,
  stored: string,
  password: Buffer,
  peppers: readonly Pepper[] = [],
): Promise<boolean> {
  const parsed = parse(stored);
  if (!parsed || hashFaultOf(stored, peppers)) return false;
  const pepper = peppers.find(({ id }) => id === parsed.pepperId);
  const tag = await derive(password, parsed.salt, parsed.cost, pepper?.key);
  return parsed.tag.length === tag.length && timingSafeEqual(parsed.tag, tag);
}

/** Whether a stored hash has another cost or another pepper than new hashes have. */
export function isOutdated(stored: string, cost: HashCost, pepper?: Pepper): boolean {
  const parsed = parse(stored);
  if (!parsed || parsed.pepperId !== pepper?.id) return true;
  return (
    parsed.cost.memoryCost !== cost.memoryCost ||
    parsed.cost.timeCost !== cost.timeCost ||
    parsed.cost.parallelism !== cost.parallelism
  );
}

/** A pattern of SQL's `like` for the hashes that contain this pepper. */
export function keyIdPattern(pepperId: string): string {
  return `$argon2id$%,keyid=${base64(Buffer.from(pepperId))}$%`;
}

const phc = /^\$argon2id\$v=19\$([a-z0-9=,+/]+)\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{43})$/i;
// Checking a stored hash must not take minutes, even if somebody tampered with it.
const most: HashCost = { memoryCost: 1_048_576, timeCost: 20, parallelism: 16 };

function parse(stored: string): Parsed | undefined {
  const [, list, salt, tag] = phc.exec(stored) ?? [];
  if (!list || !salt || !tag) return undefined;
  const parameters = new Map(list.split(',').map((each) => each.split(/=(.*)/s, 2) as [string, string]));
  const cost = {
    memoryCost: Number(parameters.get('m')),
    timeCost: Number(parameters.get('t')),
    parallelism: Number(parameters.get('p')),
  };
  if (!isBearable(cost)) return undefined;
  const keyId = parameters.get('keyid');
  const pepperId = keyId === undefined ? undefined : Buffer.from(keyId, 'base64').toString();
  if (pepperId !== undefined && !/^[a-z0-9_-]{1,16}$/.test(pepperId)) return undefined;
  return { cost, pepperId, salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64') };
}

function isBearable({ memoryCost, timeCost, parallelism }: HashCost): boolean {
  const within = (value: number, limit: number) => Number.isInteger(value) && value >= 1 && value <= limit;
  return (
    within(memoryCost, most.memoryCost) &&
    within(timeCost, most.timeCost) &&
    within(parallelism, most.parallelism) &&
    memoryCost >= 8 * parallelism
  );
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
