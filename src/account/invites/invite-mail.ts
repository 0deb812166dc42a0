import type { EntityManager } from '@mikro-orm/postgresql';
import type { Messages } from '../../mail/mail-messages.ts';
import type { Outbox } from '../../mail/outbox.ts';
import type { MailBudget } from '../../throttle/mail-budget.ts';
import type { MadeInvite } from './invites.ts';

export interface InvitationMailDeps {
  readonly outbox: Outbox;
  readonly messages: Messages;
  readonly mailBudget: MailBudget;
}

/**
 * Enqueues the mail of an invitation in the caller's transaction. Answers with whether there is one: an address is sent so
 * much and no more, whoever invites it.
 */
export async function mailInvitation(
  { outbox, messages, mailBudget }: InvitationMailDeps,
  em: EntityManager,
  { invite, code, account, inviter, locale }: MadeInvite,
  now: Date,
): Promise<boolean> {
  const { id, projectId, email, emailKey, expiresAt } = invite;
  const mail = { projectId, kind: 'account_invite', target: emailKey };
  if (outbox.isOff || !(await mailBudget.take(em, mail, now))) return false;
  const message = messages.invitation(
    { projectId, email, locale, name: '' },
    { id, code, account, inviter, expiresAt },
  );
  await outbox.enqueue(em, message, now);
  return true;
}
