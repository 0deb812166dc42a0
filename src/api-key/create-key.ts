import type { EntityManager } from '@mikro-orm/postgresql';
import { insert } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { ApiKey, isKeyActive, type KeyDraft, type ShownKey } from './api-key.ts';
import { composeKey, hashKey, type KeyEnvironment, shownPrefixOf } from './key-text.ts';

/** The rules for the API keys of all users. */
export interface KeyRules {
  readonly environment: KeyEnvironment;
  /** API_KEYS_PER_USER. */
  readonly keysPerUser: number;
  /** API_KEY_LIFETIME, in seconds. */
  readonly lifetime: number;
}

export interface NewKey extends Pick<KeyDraft, 'id' | 'projectId' | 'userId' | 'name' | 'scopes' | 'login'> {
  /** Undefined: after the maximum lifetime. */
  readonly expiresAt?: Date | undefined;
  /** The 32 bytes of the secret. Undefined: random ones. */
  readonly secret?: Buffer | undefined;
}

export interface CreatedKey {
  readonly key: ShownKey;
  /** The only copy. */
  readonly text: string;
}

const countActive = statement<{ count: number }, { userId: string; now: Date }>(
  'api_keys_count',
  `select count(*)::int as count from api_keys k where k.user_id = :userId and ${isKeyActive('k')}`,
);

/**
 * Creates an API key. The caller holds the lock of the user's row, so that parallel calls cannot exceed the limit. Throws
 * API_KEY_LIMIT_REACHED.
 */
export async function createKey(em: EntityManager, rules: KeyRules, draft: NewKey, now: Date): Promise<CreatedKey> {
  const { id, projectId, userId, name, scopes, secret, login } = draft;
  const [active] = await countActive(em, { userId, now });
  if (active!.count >= rules.keysPerUser) throw new Refusal('API_KEY_LIMIT_REACHED');
  const text = composeKey(rules.environment, userId, secret);
  const expiresAt = draft.expiresAt ?? latestExpiry(rules, now);
  const own = { id, projectId, userId, name, scopes, expiresAt, login };
  const key = ApiKey.create({ ...own, hash: hashKey(text), prefix: shownPrefixOf(text) }, now);
  await insert(em, key);
  return { key: { ...shown(key), state: 'active' }, text };
}

/** The latest time at which a key that is created now may expire. */
export function latestExpiry({ lifetime }: Pick<KeyRules, 'lifetime'>, now: Date): Date {
  return new Date(now.getTime() + lifetime * 1000);
}

function shown({ id, name, prefix, scopes, createdAt, expiresAt }: ApiKey) {
  return { id, name, prefix, scopes, createdAt, expiresAt, lastUsedAt: null, revokedAt: null };
}
