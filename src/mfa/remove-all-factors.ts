import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { lowerAllSessions } from '../session/elevation.ts';
import { forgetDevices } from '../session/trusted-device.ts';
import type { User } from '../user/user.ts';

const removeAll = statement<{ id: string }, { userId: string }>(
  'factors_delete_all',
  'delete from factors f where f.user_id = :userId returning f.id',
);

/**
 * Deletes the factors of a user, those that are not verified included, with their codes. Their sessions fall to AAL1. Returns
 * whether there were any. The caller holds the lock of the user's row.
 */
export async function removeAllFactors(em: EntityManager, user: User): Promise<boolean> {
  user.factorCount = 0;
  await forgetDevices(em, { userId: user.id });
  const removed = await removeAll(em, { userId: user.id });
  if (removed.length > 0) await lowerAllSessions(em, user.id);
  return removed.length > 0;
}
