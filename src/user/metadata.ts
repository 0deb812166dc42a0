import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { Refusal } from '../errors.ts';

/** Both metadata together, as JSON. Access tokens leave out larger ones. */
export const mostMetadataBytes = 5000;
// Protobuf parsers commonly refuse a hundred nested messages, and a level of a Struct is up to three.
const deepest = 32;
// Keys that change the prototype of an object to which a JavaScript program copies them.
const dangerous = new Set(['__proto__', 'constructor', 'prototype']);
const dangerousKey = 'a key is not allowed: __proto__, constructor or prototype';

/** What applications keep about a user, and what users keep about themselves. */
export interface BothMetadata {
  readonly appMetadata: Readonly<Record<string, unknown>>;
  readonly userMetadata: Readonly<Record<string, unknown>>;
}

interface MetadataChange {
  readonly appMetadata?: JsonObject | undefined;
  readonly userMetadata?: JsonObject | undefined;
}

/** Both metadata of a new user. */
export const noMetadata: BothMetadata = { appMetadata: {}, userMetadata: {} };

/** The size of both metadata as JSON. */
export function bytesOfMetadata({ appMetadata, userMetadata }: BothMetadata): number {
  return bytesOf(appMetadata) + bytesOf(userMetadata);
}

function bytesOf(metadata: object): number {
  return Buffer.byteLength(JSON.stringify(metadata));
}

/**
 * Merges changes into metadata, each by its top-level keys; null removes a key. Throws INVALID_ARGUMENT for a key that is
 * dangerous to readers, at any depth, for text that PostgreSQL cannot store, for metadata nested too deeply, and for
 * metadata too large for access tokens. Imported metadata may be larger; then it may only shrink.
 */
export function changeMetadata(before: BothMetadata, change: MetadataChange): Partial<BothMetadata> {
  const changed = mergeMetadata(before, change);
  const bytes = bytesOfMetadata({ ...before, ...changed });
  if (bytes <= mostMetadataBytes || bytes <= bytesOfMetadata(before)) return changed;
  const description = `both metadata together must be at most ${mostMetadataBytes} bytes as JSON`;
  const names = [...(change.appMetadata ? ['app_metadata'] : []), ...(change.userMetadata ? ['user_metadata'] : [])];
  throw new Refusal('INVALID_ARGUMENT', { fields: names.map((field) => ({ field, description })) });
}

/** The same without a limit on the size. */
export function mergeMetadata(before: BothMetadata, { appMetadata, userMetadata }: MetadataChange) {
  return {
    ...(appMetadata && { appMetadata: merge('app_metadata', before.appMetadata, appMetadata) }),
    ...(userMetadata && { userMetadata: merge('user_metadata', before.userMetadata, userMetadata) }),
  };
}

function merge(field: string, before: Readonly<Record<string, unknown>>, change: JsonObject) {
  const description = faultIn(change, deepest);
  if (description) throw new Refusal('INVALID_ARGUMENT', { fields: [{ field, description }] });
  const merged: Record<string, unknown> = { ...before, ...change };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
}

/** Recurses no deeper than `levels`: the client chose the values, and the stack is limited. */
function faultIn(value: JsonValue, levels: number): string | undefined {
  if (typeof value === 'string')
    return value.isWellFormed() && !value.includes('\0') ? undefined : 'holds NUL or a lone surrogate';
  if (typeof value !== 'object' || value === null) return undefined;
  if (levels === 0) return `must be at most ${deepest} levels deep`;
  // A parser that assigns `__proto__` replaces the prototype and leaves no key.
  if (!Array.isArray(value) && ![Object.prototype, null].includes(Object.getPrototypeOf(value))) return dangerousKey;
  for (const [key, each] of Object.entries(value)) {
    const fault = dangerous.has(key) ? dangerousKey : (faultIn(key, levels) ?? faultIn(each, levels - 1));
    if (fault) return fault;
  }
  return undefined;
}
