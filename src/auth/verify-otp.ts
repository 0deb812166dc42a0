import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { type AuthService, OtpType, type VerifyOtpRequest } from '../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import type { Flow } from '../one-time/flow.ts';
import { readOneTimeValue } from '../one-time/secret.ts';
import { type Consumed, consume, lookAt } from '../one-time/token.ts';
import { autocommit, change, clientOf, projectOf } from '../rpc/context.ts';
import { emailKey } from '../user/email.ts';
import { lockUser, type User } from '../user/user.ts';
import { confirmMailbox } from './approved-email-change.ts';
import type { AuthDeps } from './deps.ts';
import { firstProof } from './first-proof.ts';
import { handOutCode } from './hand-out-code.ts';
import { type CodeKind, type FoundValue, redeemCode } from './magic-link-code.ts';
import { openSignIn, type SignedIn, signInToMessage } from './open-sign-in.ts';
import { completeReset, requireNoFactor } from './password-reset.ts';
import { valueInLink } from './site-link.ts';
import { anyClient } from './user-mail.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'verifyOtp'>;

const kindsOf: Readonly<Record<OtpType, readonly CodeKind[]>> = {
  [OtpType.UNSPECIFIED]: [],
  [OtpType.SIGNUP]: ['email_verification'],
  [OtpType.INVITE]: ['invite'],
  [OtpType.MAGIC_LINK]: ['magic_link'],
  [OtpType.RECOVERY]: ['password_reset'],
  [OtpType.EMAIL]: ['email_verification', 'magic_link'],
  [OtpType.EMAIL_CHANGE]: ['email_change', 'email_change_approval'],
};

/** The `amr` name of a session that a browser opens with a code (PKCE), by the value behind the link. */
const methodsOf: Readonly<Record<CodeKind, string>> = {
  email_verification: 'email/signup',
  invite: 'invite',
  magic_link: 'magiclink',
  password_reset: 'recovery',
  email_change: 'email_change',
  email_change_approval: 'email_change',
  reauthentication: 'otp',
};

/** What a value was good for. */
type Verified = SignedIn | 'needs other confirmation' | { readonly exchangeCode: string };

export function verifyOtp(deps: AuthDeps): Methods {
  const { now, mailSignIns } = deps;
  return {
    async verifyOtp(request, context) {
      const { token, code } = request;
      if (!token && !code) throw new Refusal('TOKEN_REQUIRED');
      const named = code ? emailKey(code.email) : valueInLink(token);
      const verified = await mailSignIns.run(clientOf(context), named, () => verify(deps, request, context));
      if (verified === 'needs other confirmation') return { needsOtherConfirmation: true };
      if ('exchangeCode' in verified) return verified;
      return signInToMessage(deps, verified, now());
    },
  };
}

async function verify(deps: AuthDeps, request: VerifyOtpRequest, context: HandlerContext): Promise<Verified> {
  const values = await valuesOf(deps, request, context);
  const newHash = request.type === OtpType.RECOVERY ? await hashOf(deps, request, values, context) : undefined;
  const at = deps.now();
  const [first] = values;
  if (!first) throw expired();
  const use = async (em: EntityManager): Promise<Verified> => {
    const { used, kind } = await consumeFirst(em, projectOf(context), values, at);
    await deps.wrongCodes.clear(em, projectOf(context), used.target);
    const user = await lockUser(em, projectOf(context), used.user_id);
    const isDone = await prove(em, deps, { user, used, kind, newHash }, context, at);
    if (!isDone) return 'needs other confirmation';
    const challenge = request.openedLink ? used.flow?.challenge : undefined;
    if (challenge) return { exchangeCode: await handOutCode(em, user, { challenge, method: methodsOf[kind] }, at) };
    const method = kind === 'password_reset' ? 'recovery' : 'otp';
    const { trustedDeviceToken } = request;
    return openSignIn(em, deps, { user, kind: 'web', method, trustedDeviceToken }, context, at);
  };
  return change(context, use, { users: [first.userId] });
}

/** The values that the request may mean, one of which is to be used. A code means one. */
async function valuesOf(
  deps: AuthDeps,
  { type, token, code }: VerifyOtpRequest,
  context: HandlerContext,
): Promise<FoundValue[]> {
  const kinds = kindsOf[type] ?? [];
  if (code) return [await redeemCode(deps, { ...code, clientNonce: anyClient }, kinds, context)];
  return kinds.flatMap((kind) => {
    const key = readOneTimeValue(projectOf(context), kind, valueInLink(token));
    return key ? [{ ...key, kind }] : [];
  });
}

/** The hash of a new password. It is computed for a value that can be used only, and refused before the value is used. */
async function hashOf(
  { passwords, registration, now }: AuthDeps,
  { newPassword }: VerifyOtpRequest,
  [value]: readonly FoundValue[],
  context: HandlerContext,
): Promise<string | undefined> {
  if (!newPassword && !registration.recoveryRequiresPassword) return undefined;
  const key = value && { projectId: projectOf(context), ...value };
  const seen = key && (await lookAt(autocommit(context), key.kind, key, now()));
  if (!seen?.is_good || !seen.flow) throw expired();
  if (!newPassword) {
    // A user with a factor sets the password after the factor.
    if (seen.factor_count > 0) return undefined;
    throw new Refusal('PASSWORD_REQUIRED');
  }
  requireNoFactor(seen.factor_count);
  return passwords.hashNew(newPassword, [seen.email ?? '', seen.name], context);
}

/** Uses the first of the values that can be used. Values of mails without a link to the site are refused. */
async function consumeFirst(em: EntityManager, projectId: string, values: readonly FoundValue[], at: Date) {
  for (const { kind, ...key } of values) {
    const used = await consume(em, kind, { projectId, ...key }, at);
    if (used?.flow) return { used, kind };
    if (used) break;
  }
  throw expired();
}

interface Proof {
  /** Locked. */
  readonly user: User;
  readonly used: Consumed;
  readonly kind: CodeKind;
  readonly newHash: string | undefined;
}

/** Writes what the value proves. Returns false while another mailbox has to be proved as well. */
async function prove(
  em: EntityManager,
  deps: AuthDeps,
  { user, used, kind, newHash }: Proof,
  context: HandlerContext,
  at: Date,
): Promise<boolean> {
  const flow: Flow = used.flow ?? {};
  if (kind === 'email_change' || kind === 'email_change_approval')
    return confirmMailbox(em, deps, { user, kind, target: used.target, flow }, context, at);
  // The address may have changed since the value was found.
  if (user.emailKey !== used.target) throw expired();
  if (kind === 'email_verification') {
    user.emailVerifiedAt ??= at;
    user.updatedAt = at;
    audit(em, context, { action: 'auth.email_verified', userId: user.id }, at);
  } else if (newHash) {
    await completeReset(em, deps, { user, emailKey: used.target, newHash }, context, at);
    user.mustChangePassword = false;
  } else await firstProof(em, deps, { user, keepsProfile: flow.isOfNewUser ?? false }, context, at);
  return true;
}

function expired(): Refusal {
  return new Refusal('OTP_EXPIRED', { event: { action: 'auth.login_failed', cause: 'one_time_value' } });
}
