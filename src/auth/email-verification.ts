import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import type { OneTimeKind } from '../one-time/secret.ts';
import { type Consumed, consume, look } from '../one-time/token.ts';
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
  const { now } = deps;

  async function isOn(context: HandlerContext): Promise<boolean> {
    return (await readSettings(autocommit(context), projectOf(context), deps)).emailVerification;
  }

  async function ownAddress(context: HandlerContext): Promise<string> {
    const { projectId, userId, isGuest } = caller(context);
    if (isGuest) throw new Refusal('GUEST_NOT_ALLOWED');
    const { email, emailVerifiedAt } = await findUser(reads(context), projectId, userId);
    if (emailVerifiedAt) throw new Refusal('EMAIL_ALREADY_VERIFIED');
    return email!;
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
      await sendLink(deps, { kind: 'email_verification', email, action, isFor }, context);
      return {};
    },

    async verifyEmail({ token }, context) {
      const redeem = await prepareRedemption('email_verification', token, context, now);
      const at = now();
      await change(context, async (em) => {
        const { user_id: userId, target } = await redeem(em, at);
        const user = await lockUser(em, projectOf(context), userId);
        // The address may have changed since the value was looked at, which locks nobody.
        if (user.emailKey !== target) throw new Refusal('VERIFICATION_TOKEN_USED_OR_EXPIRED');
        user.emailVerifiedAt ??= at;
        user.updatedAt = at;
        audit(em, context, { action: 'auth.email_verified', userId }, at);
      });
      return {};
    },
  };
}

/**
 * Looks whose value it is, before the transaction, and answers with what uses it up within. A caller's bearer must be
 * that user's. Throws TOKEN_REQUIRED, VERIFICATION_TOKEN_INVALID and VERIFICATION_TOKEN_USED_OR_EXPIRED.
 */
export async function prepareRedemption(kind: OneTimeKind, raw: string, context: HandlerContext, now: () => Date) {
  const bearer = callerIfAny(context);
  if (!raw) throw new Refusal('TOKEN_REQUIRED');
  const value = { projectId: projectOf(context), raw, userId: bearer?.userId };
  const seen = await look(autocommit(context), kind, value, now());
  if (!seen || (bearer && bearer.userId !== seen.user_id)) throw new Refusal('VERIFICATION_TOKEN_INVALID');
  const refusal = new Refusal('VERIFICATION_TOKEN_USED_OR_EXPIRED');
  if (!seen.is_good) throw refusal;
  return async (em: Parameters<typeof consume>[0], at: Date): Promise<Consumed> => {
    const used = await consume(em, kind, value, at);
    if (!used) throw refusal;
    return used;
  };
}
