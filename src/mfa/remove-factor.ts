import type { EntityManager } from '@mikro-orm/postgresql';
import { lowerSessions } from '../session/elevation.ts';
import { forgetDevices } from '../session/trusted-device.ts';
import type { User } from '../user/user.ts';
import { counts, deleteFactors, type FactorRow } from './factor.ts';

/**
 * Deletes one of the factors of a user. The sessions that it raised fall to AAL1. The caller holds the lock of the user's row.
 */
export async function removeFactor(
  em: EntityManager,
  user: User,
  { factor, factors }: { factor: FactorRow; factors: readonly FactorRow[] },
): Promise<void> {
  await lowerSessions(em, user.id, factor.id);
  // An unfinished enrolment has proved nothing that a device could be trusted for.
  if (factor.verifiedAt) await forgetDevices(em, { userId: user.id });
  if (factor.verifiedAt && counts(factor.type)) user.factorCount -= 1;
  // Without a factor there is nothing that recovery codes could stand in for.
  const codes = factors.filter(({ type }) => user.factorCount === 0 && type === 'recovery_code');
  await deleteFactors(em, user.id, [factor.id, ...codes.map(({ id }) => id)]);
}
