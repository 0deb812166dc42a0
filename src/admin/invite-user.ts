import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import { recipientOf } from '../auth/user-mail.ts';
import { Refusal } from '../errors.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { emailKey } from '../user/email.ts';
import { changeMetadata, noMetadata } from '../user/metadata.ts';
import { createUser, findByEmail, lockUser, type User, type UserRow } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { managedUserToMessage } from './message.ts';

export function inviteUser(deps: AdminDeps): AdminMethods['inviteUser'] {
  const { now, userMail, mailBudget } = deps;
  return async ({ email, userMetadata, link: message }, context) => {
    if (userMail.isOff) throw new Refusal('MAIL_DISABLED');
    const metadata = changeMetadata(noMetadata, { userMetadata });
    const at = now();
    const projectId = projectOf(context);
    const link = userMail.links.read(message, projectId)!;
    const known = await findByEmail(autocommit(context), projectId, email);
    const user = await change(
      context,
      async (em) => {
        const user = await findOrCreate(em, deps, known, { projectId, email, ...metadata }, at);
        const wait = await mailBudget.takeOrWait(em, { projectId, kind: 'invite', target: emailKey(email) }, at);
        if (wait > 0) throw new Refusal('MAIL_LIMIT_REACHED', { retryAfter: wait });
        const flow = { isOfNewUser: !known };
        await userMail.send(em, { kind: 'invite', to: recipientOf(user), link, flow }, at);
        audit(em, context, { action: 'user.invite', userId: user.id }, at);
        return user;
      },
      { users: known ? [known.id] : [] },
    );
    return { user: managedUserToMessage(user, at) };
  };
}

interface NewUser {
  readonly projectId: string;
  readonly email: string;
  readonly passwordHash?: string | null;
  readonly appMetadata?: Readonly<Record<string, unknown>>;
  readonly userMetadata?: Readonly<Record<string, unknown>>;
}

/**
 * A user who has yet to prove that they read the mail to their address, created if the address is unknown. Throws
 * EMAIL_ALREADY_REGISTERED for a user who has proved it, and USER_BANNED.
 */
export async function findOrCreate(
  em: EntityManager,
  { joining }: Pick<AdminDeps, 'joining'>,
  known: Pick<UserRow, 'id'> | undefined,
  { passwordHash = null, ...draft }: NewUser,
  now: Date,
): Promise<User> {
  if (known) {
    const user = await lockUser(em, draft.projectId, known.id);
    if (user.emailVerifiedAt) throw new Refusal('EMAIL_ALREADY_REGISTERED');
    if (user.isBanned(now)) throw new Refusal('USER_BANNED');
    return user;
  }
  const user = await createUser(em, { ...draft, name: '', passwordHash }, now);
  await joining.open(em, user, now);
  return user;
}
