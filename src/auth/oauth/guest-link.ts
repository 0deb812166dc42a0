import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../../audit/event.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import { voidFor } from '../../one-time/token.ts';
import { readSettings } from '../../project/settings.ts';
import { origin, type SessionOfCaller } from '../../rpc/context.ts';
import { revokeSessions } from '../../session/revocation.ts';
import { type Renewed, renewSession } from '../../session/secret-renewal.ts';
import { byEmail } from '../../text/sign-in-providers.ts';
import type { ProvedIdentity } from '../../user/identity.ts';
import { findByEmail, type User } from '../../user/user.ts';
import { giveAddress } from '../approved-email-change.ts';
import type { AuthDeps } from '../deps.ts';
import { needsAddress, sendProof } from './address-proof.ts';
import { identityConflict } from './identity-conflict.ts';

interface Guest {
  /** Locked. */
  readonly user: User;
  readonly proved: ProvedIdentity;
}

/**
 * Throws the refusal of a guest who cannot register with an identity. Where nobody signs in without a verified address, an
 * address that the provider has not verified is refused before it is looked up: the response does not reveal whether it is
 * registered.
 */
export async function requireRegistrable(em: EntityManager, deps: AuthDeps, { user, proved }: Guest): Promise<void> {
  const { signUp } = await readSettings(em, user.projectId, deps.registration);
  if (!signUp) throw new Refusal('SIGN_UP_DISABLED');
  if (!proved.emailVerified && needsAddress(deps)) throw new Refusal('EMAIL_NOT_VERIFIED');
  if (proved.email !== undefined && (await findByEmail(em, user.projectId, proved.email)))
    throw identityConflict('email', user.id);
}

type Written = Pick<User, 'name' | 'emailVerifiedAt' | 'pendingEmail' | 'updatedAt' | 'lastSignInAt'>;

// Before the session is renewed: its token contains what is written here.
const establish = statement<{ id: string }, Written & { readonly userId: string; readonly providers: string }>(
  'user_establish',
  `update users set is_anonymous = false, name = :name, email_verified_at = :emailVerifiedAt, pending_email = :pendingEmail,
     password_hash = null, must_change_password = false, providers = :providers::jsonb, last_sign_in_at = :lastSignInAt, updated_at = :updatedAt
   where id = :userId returning id`,
);

/**
 * Makes a guest a registered user, who keeps the id. The address is that of the identity: the user's if the provider has
 * verified it, else pending.
 *
 * What was handed out before ends, as in Register, and a password with it: somebody else may have taken a token from the
 * guest, or have given the guest one of their own. The session that links goes on with new tokens.
 */
export async function registerGuest(
  em: EntityManager,
  deps: AuthDeps,
  { user, proved, session }: Guest & { readonly session: SessionOfCaller },
  context: HandlerContext,
  now: Date,
): Promise<Renewed> {
  const { joining, registration } = deps;
  const { autoConfirmEmail } = await readSettings(em, user.projectId, registration);
  const { email, emailVerified } = proved;
  const invitation = { projectId: user.projectId, email: email ?? '', accountInviteCode: '', inviteCode: '' };
  const admission = await joining.admit(em, invitation, now);
  const isProved = email !== undefined && (emailVerified || autoConfirmEmail);
  if (isProved) await giveAddress(em, user, email, now).catch(explainTaken(user.id));
  const written = {
    ...{ name: user.name || proved.name || proved.username, emailVerifiedAt: isProved ? now : null },
    ...{ pendingEmail: isProved ? null : (email ?? null), updatedAt: now, lastSignInAt: now },
  };
  const providers = user.providers.filter((each) => each !== byEmail);
  await establish(em, { ...written, userId: user.id, providers: JSON.stringify(providers) });
  Object.assign(user, { isAnonymous: false, ...written, providers, passwordHash: null, mustChangePassword: false });
  await voidFor(em, user.id, now);
  await joining.join(em, user, admission, now);
  audit(em, context, { action: 'auth.register', userId: user.id }, now);
  await sendProof(em, deps, user, now);
  const { userId, sessionId } = session;
  await revokeSessions(em, { userId, except: sessionId }, 'registered', now);
  return renewSession(em, { userId, sessionId }, now, { method: 'oauth', origin: origin(context) });
}

/** Race: somebody else has registered the address since it was looked up. */
function explainTaken(userId: string): (thrown: unknown) => never {
  return (thrown) => {
    const isTaken = thrown instanceof Refusal && thrown.reason === 'EMAIL_ALREADY_REGISTERED';
    throw isTaken ? identityConflict('email', userId) : thrown;
  };
}
