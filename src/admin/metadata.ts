import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { Refusal } from '../errors.ts';

const most = 4096;
// Protobuf parsers commonly refuse a hundred nested messages, and a level of a Struct is up to three.
const deepest = 32;
// Keys that change the prototype of an object to which a JavaScript program copies them.
const dangerous = new Set(['__proto__', 'constructor', 'prototype']);
const dangerousKey = 'a key is not allowed: __proto__, constructor or prototype';

/**
 * Merges a change into metadata, by its top-level keys; null removes a key. Throws INVALID_ARGUMENT for a key that is
 * dangerous to readers, at any depth, for text that PostgreSQL cannot store, for metadata nested too deeply, and for
 * metadata too large for access tokens.
 */
export function mergeMetadata(field: string, before: Readonly<Record<string, unknown>>, change: JsonObject) {
  const fault = faultIn(change, deepest);
  if (fault) throw refusal(field, fault);
  const merged = { ...before, ...change };
  const kept = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
  if (Buffer.byteLength(JSON.stringify(kept)) > most) throw refusal(field, `must be at most ${most} bytes as JSON`);
  return kept as Record<string, unknown>;
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

function refusal(field: string, description: string): Refusal {
  return new Refusal('INVALID_ARGUMENT', { fields: [{ field, description }] });
}
