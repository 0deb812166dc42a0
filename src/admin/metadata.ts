import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { Refusal } from '../errors.ts';

const most = 4096;
// Names that mean something to JavaScript: whoever copies such an object key by key changes more than they know.
const dangerous = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Metadata with a change merged into it: by its top keys, and null removes one. Throws INVALID_ARGUMENT for a key that is
 * dangerous to readers, at any depth, and when it gets too large for access tokens to carry.
 */
export function mergeMetadata(field: string, before: Readonly<Record<string, unknown>>, change: JsonObject) {
  if (isDangerous(change)) throw refusal(field, 'a key is not allowed: __proto__, constructor or prototype');
  const merged = { ...before, ...change };
  const kept = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
  if (Buffer.byteLength(JSON.stringify(kept)) > most) throw refusal(field, `must be at most ${most} bytes as JSON`);
  return kept as Record<string, unknown>;
}

function isDangerous(value: JsonValue): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.some(isDangerous);
  // A parser that assigns `__proto__` leaves no key behind.
  if (![Object.prototype, null].includes(Object.getPrototypeOf(value))) return true;
  return Object.entries(value).some(([key, each]) => dangerous.has(key) || isDangerous(each));
}

function refusal(field: string, description: string): Refusal {
  return new Refusal('INVALID_ARGUMENT', { fields: [{ field, description }] });
}
