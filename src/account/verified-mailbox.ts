import type { EntityManager } from '@mikro-orm/postgresql';
import { Refusal } from '../errors.ts';
import { readSettings } from '../project/settings.ts';
import type { AccountDeps } from './deps.ts';

interface Sharer {
  readonly projectId: string;
  readonly emailVerifiedAt?: Date | null;
}

/**
 * Throws EMAIL_NOT_VERIFIED for a user who would share an account without a verified address. Where addresses are not
 * verified by mail, everybody may.
 *
 * Attack: a user who registered somebody else's address could otherwise leave accomplices and invitations behind.
 */
export async function requireVerifiedMailbox(
  em: EntityManager,
  { outbox, registration }: Pick<AccountDeps, 'outbox' | 'registration'>,
  { projectId, emailVerifiedAt }: Sharer,
): Promise<void> {
  if (emailVerifiedAt || outbox.isOff) return;
  const { emailVerification } = await readSettings(em, projectId, registration);
  if (emailVerification) throw new Refusal('EMAIL_NOT_VERIFIED');
}
