import type { EntityManager } from '@mikro-orm/postgresql';
import { Refusal } from '../errors.ts';
import type { Outbox } from '../mail/outbox.ts';
import { type ConfiguredSettings, readSettings } from '../project/settings.ts';

interface Mailboxes {
  readonly outbox: Pick<Outbox, 'isOff'>;
  readonly registration: ConfiguredSettings;
}

interface Owner {
  readonly projectId: string;
  readonly emailVerifiedAt?: Date | null;
}

/**
 * Throws EMAIL_NOT_VERIFIED for a user without a verified address, who may not share an account, approve a device, or add a
 * credential. Where addresses are not verified by mail, everybody may.
 *
 * Attack: a user who registered somebody else's address could otherwise leave accomplices, invitations and credentials
 * behind.
 */
export async function requireVerifiedMailbox(
  em: EntityManager,
  { outbox, registration }: Mailboxes,
  { projectId, emailVerifiedAt }: Owner,
): Promise<void> {
  if (emailVerifiedAt || outbox.isOff) return;
  const { emailVerification } = await readSettings(em, projectId, registration);
  if (emailVerification) throw new Refusal('EMAIL_NOT_VERIFIED');
}
