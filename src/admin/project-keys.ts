import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import type { StoredServiceKey } from '../project/settings.ts';
import type { Caller } from '../rpc/context.ts';
import type { AdminDeps } from './deps.ts';

interface NewKey {
  readonly name: string;
  /** In hexadecimal digits. */
  readonly sha256: string;
  readonly scopes: readonly string[];
}

/** A change of the service keys of a project. */
export interface KeyChange {
  readonly add: readonly StoredServiceKey[];
  readonly remove: readonly string[];
}

/**
 * Reads the service keys of a request. Throws INVALID_ARGUMENT for a scope that is no service or method, and
 * CALLER_NOT_ALLOWED unless a backend without scopes calls: a key may do what no operator may, and what the key of the caller
 * may not.
 */
export function readKeys(
  { scopesFault, isGuessableDigest }: Pick<AdminDeps, 'scopesFault' | 'isGuessableDigest'>,
  { add, remove = [] }: { readonly add: readonly NewKey[]; readonly remove?: readonly string[] },
  { caller, field, now }: { readonly caller: Caller; readonly field: string; readonly now: Date },
): KeyChange {
  const fields = add.flatMap(({ scopes, sha256 }, index) => {
    const at = `${field}[${index}]`;
    const description = scopes.length > 0 ? scopesFault(scopes) : undefined;
    const isGuessable = isGuessableDigest(sha256);
    return [
      ...(description ? [{ field: `${at}.scopes`, description }] : []),
      ...(isGuessable ? [{ field: `${at}.sha256`, description: 'the digest of an empty or well-known key' }] : []),
    ];
  });
  if (fields.length > 0) throw new Refusal('INVALID_ARGUMENT', { fields });
  const isChanged = add.length + remove.length > 0;
  if (isChanged && (caller.kind !== 'service' || caller.scopes)) throw new Refusal('CALLER_NOT_ALLOWED');
  return {
    add: add.map(({ name, sha256, scopes }) => ({
      ...{ name, sha256: sha256.toLowerCase(), createdAt: now.toISOString() },
      ...(scopes.length > 0 && { scopes }),
    })),
    remove,
  };
}

const readKeysOf = statement<{ serviceKeys: readonly StoredServiceKey[] }, { projectId: string }>(
  'project_service_keys',
  'select service_keys as "serviceKeys" from project_settings where project_id = :projectId',
);

// Few projects, and keys are seldom added.
const findOther = statement<{ found: number }, { projectId: string; hashes: readonly string[] }>(
  'project_service_keys_of_others',
  `select 1 as found from project_settings s, jsonb_array_elements(s.service_keys) as k
   where s.project_id <> :projectId and k ->> 'sha256' = any(:hashes::text[]) limit 1`,
);

const write = statement<object, { projectId: string; keys: string }>(
  'project_service_keys_write',
  'update project_settings set service_keys = :keys::jsonb where project_id = :projectId returning 1',
);

/** More keys than a project has backends are a mistake. */
const mostKeys = 100;

/**
 * Removes and adds service keys. Call it after the settings were written: their statement holds the projects until the end of
 * the transaction, so that no two projects get the same key. Throws SERVICE_KEY_EXISTS.
 */
export async function changeKeys(
  em: EntityManager,
  { serviceKeys }: Pick<AdminDeps, 'serviceKeys'>,
  projectId: string,
  { add, remove }: KeyChange,
): Promise<void> {
  if (add.length + remove.length === 0) return;
  const [row] = await readKeysOf(em, { projectId });
  const keys = [...row!.serviceKeys.filter(({ name }) => !remove.includes(name)), ...add];
  const hashes = add.map(({ sha256 }) => sha256);
  const isUnique = (of: (key: StoredServiceKey) => string) => new Set(keys.map(of)).size === keys.length;
  const isFree =
    isUnique(({ name }) => name) &&
    isUnique(({ sha256 }) => sha256) &&
    !serviceKeys.some(({ digest }) => hashes.includes(digest.toString('hex'))) &&
    (await findOther(em, { projectId, hashes })).length === 0;
  if (!isFree) throw new Refusal('SERVICE_KEY_EXISTS');
  if (keys.length > mostKeys)
    throw new Refusal('INVALID_ARGUMENT', {
      fields: [{ field: 'add_service_keys', description: `a project has at most ${mostKeys}` }],
    });
  await write(em, { projectId, keys: JSON.stringify(keys) });
}
