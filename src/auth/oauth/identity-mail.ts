import type { EntityManager } from '@mikro-orm/postgresql';
import type { LinkedIdentity } from '../../mail/mail-messages.ts';
import type { Identity } from '../../user/identity.ts';
import type { UserRow } from '../../user/user.ts';
import type { AuthDeps } from '../deps.ts';
import { recipientOf } from '../user-mail.ts';

type MailDeps = Pick<AuthDeps, 'userMail' | 'oauth'>;
type NamedIdentity = Pick<Identity, 'provider' | 'username' | 'name' | 'email'>;

/** Notifies a user that an identity was linked or unlinked. A user without an address receives nothing. */
export async function mailIdentity(
  em: EntityManager,
  deps: MailDeps,
  { user, identity, change }: { user: UserRow; identity: NamedIdentity; change: 'linked' | 'unlinked' },
  now: Date,
): Promise<void> {
  if (!user.email) return;
  await deps.userMail.notifyIdentity(em, recipientOf(user), named(deps, user.projectId, identity), change, now);
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
