import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import type { OneTimeKind } from '../one-time/secret.ts';
import { type Consumed, consume, look, type Seen } from '../one-time/token.ts';
import { readSettings } from '../project/settings.ts';
import { autocommit, caller, callerIfAny, change, projectOf, reads } from '../rpc/context.ts';
import { findUser, lockUser } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { sendLink } from './send-link.ts';

type Methods = Pick<
  ServiceImpl<typeof AuthService>,
  'getEmailVerificationStatus' | 'sendVerificationEmail' | 'verifyEmail'
>;

export function emailVerification(deps: AuthDeps): Methods {
  const { now, registration } = deps;

  async function isOn(context: HandlerContext): Promise<boolean> {
    return (await readSettings(autocommit(context), projectOf(context), registration)).emailVerification;
  }

  return {
    async getEmailVerificationStatus(_, context) {
      return { enabled: await isOn(context) };
    },

    async sendVerificationEmail(request, context) {
      callerIfAny(context);
      if (!(await isOn(context))) throw new Refusal('EMAIL_VERIFICATION_DISABLED');
      const email = request.email || (await ownAddress(context));
      const isFor = ({ emailVerifiedAt }: { emailVerifiedAt?: Date | null | undefined }) => !emailVerifiedAt;
      const action = 'auth.email_verification.request';
      const link = deps.userMail.links.read(request.link, projectOf(context));
      await sendLink(deps, { kind: 'email_verification', email, action, isFor, link }, context);
      return {};
    },

    async verifyEmail({ token }, context) {
      const redeemable = await requireRedeemable('email_verification', token, context, now());
      const at = now();
      await change(
        context,
        async (em) => {
          const { user_id: userId, target } = await redeem(em, redeemable, at);
          const user = await lockUser(em, projectOf(context), userId);
          // The address may have changed since the value was looked at, which locks nothing.
          if (user.emailKey !== target) throw new Refusal('VERIFICATION_TOKEN_USED_OR_EXPIRED');
          user.emailVerifiedAt ??= at;
          user.updatedAt = at;
          audit(em, context, { action: 'auth.email_verified', userId }, at);
        },
        { users: [redeemable.userId] },
      );
      return {};
    },
  };
}

async function ownAddress(context: HandlerContext): Promise<string> {
  const { projectId, userId, isGuest } = caller(context);
  if (isGuest) throw new Refusal('GUEST_NOT_ALLOWED');
  const { email, emailVerifiedAt } = await findUser(reads(context), projectId, userId);
  if (emailVerifiedAt) throw new Refusal('EMAIL_ALREADY_VERIFIED');
  // A provider has none, or one that it has not verified: then it is pending, and each sign-in with the provider sends the link.
  if (!email) throw new Refusal('USER_WITHOUT_EMAIL');
  return email;
}

/** A one-time value that could be used when it was looked at. */
export interface Redeemable {
  readonly kind: OneTimeKind;
  readonly projectId: string;
  readonly raw: string;
  /** The user whose value it is. */
  readonly userId: string;
}

/**
 * Looks at a one-time value before the transaction, without using it. When an access token was sent, the value must name
 * its user. Throws TOKEN_REQUIRED, VERIFICATION_TOKEN_INVALID
 * and VERIFICATION_TOKEN_USED_OR_EXPIRED.
 */
export async function requireRedeemable(
  kind: OneTimeKind,
  raw: string,
  context: HandlerContext,
  now: Date,
): Promise<Redeemable> {
  const userId = callerIfAny(context)?.userId;
  if (!raw) throw new Refusal('TOKEN_REQUIRED');
  const value = { projectId: projectOf(context), raw };
  const seen = await look(autocommit(context), kind, value, now);
  // VerifyOtp confirms a change that UpdateCredentials began: it asks both mailboxes, and registers a guest.
  const isOther = (kind === 'email_change' && seen?.flow) || (userId && userId !== seen?.user_id);
  if (!seen || isOther) throw new Refusal('VERIFICATION_TOKEN_INVALID');
  if (!seen.is_good)
    throw new Refusal('VERIFICATION_TOKEN_USED_OR_EXPIRED', { metadata: { state: stateOf(kind, seen) } });
  return { kind, ...value, userId: seen.user_id };
}

/** Only the mail has the value, so its reader may know this: they can read the mailbox. */
function stateOf(kind: OneTimeKind, { state, is_verified: isVerified }: Seen): string {
  return kind === 'email_verification' && isVerified ? 'verified' : state;
}

/** Uses the value up. Throws VERIFICATION_TOKEN_USED_OR_EXPIRED when it can no longer be used. */
export async function redeem(em: EntityManager, { kind, projectId, raw }: Redeemable, now: Date): Promise<Consumed> {
  const used = await consume(em, kind, { projectId, raw }, now);
  if (!used) throw new Refusal('VERIFICATION_TOKEN_USED_OR_EXPIRED');
  return used;
}
