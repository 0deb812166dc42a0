import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';

interface Revocation {
  readonly userId: string;
  readonly only: string | null;
  readonly now: Date;
}

// A key that has expired is revoked as well: a write that ends something does not ask the clock.
const revokeMany = statement<{ id: string }, Revocation>(
  'api_keys_revoke',
  `update api_keys k set revoked_at = :now
   where k.user_id = :userId and k.revoked_at is null and (:only::uuid is null or k.id = :only)
   returning k.id`,
);

/**
 * Revokes the API keys of a user, all of them or `only` one, and returns which. Once the transaction has committed, no call
 * and no introspection with them succeeds on any replica: each reads the row. The caller holds the lock of the user's row.
 */
export async function revokeApiKeys(
  em: EntityManager,
  { userId, only }: { userId: string; only?: string },
  now: Date,
): Promise<{ id: string }[]> {
  return revokeMany(em, { userId, only: only ?? null, now });
}
