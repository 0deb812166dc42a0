import { createHash, timingSafeEqual } from 'node:crypto';
import { Refusal } from '../errors.ts';
import type { ServiceCaller } from '../rpc/context.ts';

export interface ServiceKey {
  readonly name: string;
  /** SHA-256 of the key. */
  readonly digest: Buffer;
}

/**
 * Identifies internal backends by their keys, whose digests SERVICE_KEYS lists. Throws TOKEN_INVALID for other keys.
 */
export function serviceKeyReader(keys: readonly ServiceKey[]) {
  // The keys that were verified before: a backend makes thousands of calls a second with the same key.
  const names = new Map<string, string>();
  return (bearer: string, projectId: string): ServiceCaller => {
    const name = names.get(bearer) ?? nameOf(bearer, keys);
    names.set(bearer, name);
    return { kind: 'service', projectId, name };
  };
}

function nameOf(bearer: string, keys: readonly ServiceKey[]): string {
  const digest = createHash('sha256').update(bearer).digest();
  const found = keys.find((each) => timingSafeEqual(each.digest, digest));
  if (!found) throw new Refusal('TOKEN_INVALID');
  return found.name;
}
