import { createHash, timingSafeEqual } from 'node:crypto';
import { Refusal } from '../errors.ts';
import type { ServiceCaller } from '../rpc/context.ts';

export interface ServiceKey {
  readonly name: string;
  /** Undefined: all methods for backends. */
  readonly scopes?: readonly string[] | undefined;
  /** SHA-256 of the key. */
  readonly digest: Buffer;
}

/**
 * Identifies internal backends by their keys, whose digests SERVICE_KEYS lists. Throws TOKEN_INVALID for other keys.
 */
export function serviceKeyReader(keys: readonly ServiceKey[]) {
  // The keys that were verified before: a backend makes thousands of calls a second with the same key.
  const known = new Map<string, ServiceKey>();
  return (bearer: string, projectId: string): ServiceCaller => {
    const key = known.get(bearer) ?? find(bearer, keys);
    known.set(bearer, key);
    return { kind: 'service', projectId, name: key.name, scopes: key.scopes };
  };
}

function find(bearer: string, keys: readonly ServiceKey[]): ServiceKey {
  const digest = createHash('sha256').update(bearer).digest();
  const found = keys.find((each) => timingSafeEqual(each.digest, digest));
  if (!found) throw new Refusal('TOKEN_INVALID');
  return found;
}
