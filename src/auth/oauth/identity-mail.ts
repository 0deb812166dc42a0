import type { EntityManager } from '@mikro-orm/postgresql';
import type { LinkedIdentity } from '../../mail/mail-messages.ts';
import type { Identity } from '../../user/identity.ts';
import type { UserRow } from '../../user/user.ts';
import type { AuthDeps } from '../deps.ts';
import { recipientOf } from '../user-mail.ts';

type MailDeps = Pick<AuthDeps, 'userMail' | 'oauth'>;
type NamedIdentity = Pick<Identity, 'provider' | 'username' | 'name' | 'email'>;

/** Notifies a user that an identity was linked. A user without an address receives nothing. */
export async function mailLinked(
  em: EntityManager,
  deps: MailDeps,
  { user, identity }: { user: UserRow; identity: NamedIdentity },
  now: Date,
): Promise<void> {
  if (user.email)
    await deps.userMail.notifyIdentityLinked(em, recipientOf(user), named(deps, user.projectId, identity), now);
}

/** The same for one that was unlinked. */
export async function mailUnlinked(
  em: EntityManager,
  deps: MailDeps,
  { user, identity }: { user: UserRow; identity: NamedIdentity },
  now: Date,
): Promise<void> {
  if (user.email)
    await deps.userMail.notifyIdentityUnlinked(em, recipientOf(user), named(deps, user.projectId, identity), now);
}

// A provider may have left the configuration since.
function named(
  { oauth: { providers } }: MailDeps,
  projectId: string,
  { provider, username, name, email }: NamedIdentity,
): LinkedIdentity {
  const label = providers.has(provider, projectId) ? providers.get(provider, projectId).label : provider;
  return { provider: label, name: username || name || email || '' };
}
