import type { MikroORM } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { lockInstallation, transact } from '../database/transaction.ts';
import { joinInstallation } from '../project/installation.ts';
import { ensureSigningKeys } from './key-ring.ts';

/** Checks that this replica fits its database, and makes the first signing keys. One replica at a time. */
export function prepareInstallation(orm: MikroORM, keys: MasterKeys, now: Date): Promise<void> {
  return transact(orm, async (em) => {
    await lockInstallation(em);
    await joinInstallation(em, keys);
    await ensureSigningKeys(em, keys, now);
  });
}
