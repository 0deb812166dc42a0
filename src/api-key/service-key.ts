import { createHash, timingSafeEqual } from 'node:crypto';
import { Refusal } from '../errors.ts';
import type { ServiceCaller } from '../rpc/context.ts';

export interface ServiceKey {
  readonly name: string;
  /** SHA-256 of the key. */
  readonly digest: Buffer;
}

/** Reads the bearers of internal backends: the keys whose digests SERVICE_KEYS lists. Throws TOKEN_INVALID for others. */
export function serviceKeyReader(keys: readonly ServiceKey[]) {
  return (bearer: string, projectId: string): ServiceCaller => {
    const digest = createHash('sha256').update(bearer).digest();
    const found = keys.find((each) => timingSafeEqual(each.digest, digest));
    if (!found) throw new Refusal('TOKEN_INVALID');
    return { kind: 'service', projectId, name: found.name };
  };
}
