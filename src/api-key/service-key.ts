import { createHash, timingSafeEqual } from 'node:crypto';
import { Refusal } from '../errors.ts';
import { defaultProjectId } from '../project/project.ts';
import type { Projects } from '../project/projects.ts';
import type { ServiceCaller } from '../rpc/context.ts';

export interface ServiceKey {
  readonly name: string;
  /** Undefined: all methods for backends. */
  readonly scopes?: readonly string[] | undefined;
  /** SHA-256 of the key. */
  readonly digest: Buffer;
}

/**
 * Identifies internal backends by their keys. Those of SERVICE_KEYS belong to the default project. Other projects have keys of
 * their own. Throws TOKEN_INVALID for an unknown key.
 */
export function serviceKeyReader(keys: readonly ServiceKey[], projects: Projects) {
  // The keys that were verified before: a backend makes thousands of calls a second with the same key.
  const known = new Map<string, ServiceKey>();
  return async (bearer: string): Promise<ServiceCaller> => {
    const digest = known.has(bearer) ? undefined : createHash('sha256').update(bearer).digest();
    const key = known.get(bearer) ?? keys.find((each) => timingSafeEqual(each.digest, digest!));
    if (key) {
      known.set(bearer, key);
      return { kind: 'service', projectId: defaultProjectId, name: key.name, scopes: key.scopes };
    }
    const found = await projects.findServiceKey(digest!.toString('hex'));
    if (!found) throw new Refusal('TOKEN_INVALID');
    const { name, scopes } = found.key;
    return { kind: 'service', projectId: found.projectId, name, scopes };
  };
}
