import type { EntityManager } from '@mikro-orm/postgresql';
import { emailKey } from '../../user/email.ts';
import type { User } from '../../user/user.ts';
import type { AuthDeps } from '../deps.ts';
import { recipientOf } from '../user-mail.ts';

/** Whether nobody signs in without a verified address. */
export function needsAddress({ registration }: Pick<AuthDeps, 'registration'>): boolean {
  return registration.requireVerifiedEmail || registration.hideRegistration;
}

/**
 * Sends the link that verifies the address of a user who has none that is verified. The hourly budget applies, since signing in
 * again sends it again.
 */
export async function sendProof(
  em: EntityManager,
  { userMail, mailBudget }: Pick<AuthDeps, 'userMail' | 'mailBudget'>,
  user: User,
  now: Date,
): Promise<void> {
  const { projectId, pendingEmail, email, emailVerifiedAt } = user;
  const address = pendingEmail ?? email;
  if (emailVerifiedAt || !address) return;
  const mail = { projectId, kind: 'registration', target: emailKey(address) };
  if (!(await mailBudget.takeOfHour(em, mail, now))) return;
  const kind = pendingEmail ? 'email_change' : 'email_verification';
  await userMail.send(em, { kind, to: { ...recipientOf(user), email: address } }, now);
}
