import type { ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { summaryToMessage } from '../account/message.ts';
import { readAccountSummary } from '../account/usage/account-summary.ts';
import { audit, auditRow } from '../audit/event.ts';
import { insert } from '../database/insert.ts';
import { Refusal } from '../errors.ts';
import { readSettings } from '../project/settings.ts';
import { autocommit, callerIfAny, change, origin, projectOf } from '../rpc/context.ts';
import { kindOfClient, sessionToMessage } from '../session/message.ts';
import { revokeSessions } from '../session/revocation.ts';
import type { Opened } from '../session/session-opener.ts';
import { userToMessage } from '../user/message.ts';
import { User } from '../user/user.ts';
import { checkPassword } from './check-password.ts';
import type { AuthDeps } from './deps.ts';
import { emailChange } from './email-change.ts';
import { emailVerification } from './email-verification.ts';
import { registerQuietly } from './hidden-registration.ts';
import { magicLink } from './magic-link.ts';
import { passwordChange } from './password-change.ts';
import { passwordReset } from './password-reset.ts';
import { profile } from './profile.ts';
import { register, sendFirstLink } from './register.ts';
import { recordSignIn } from './sign-in.ts';
import { recipientOf } from './user-mail.ts';

export function authService(deps: AuthDeps): ServiceImpl<typeof AuthService> {
  const { now, passwords, opener, userMail, joining, usage, hideRegistration, requireVerifiedEmail } = deps;

  function signedIn(user: User, opened: Opened, at: Date) {
    return {
      user: userToMessage(user, at),
      tokens: opener.tokensOf(opened, user, at),
      session: sessionToMessage(opened.session, opened.session.id),
    };
  }

  return {
    ...profile(deps),
    ...passwordChange(deps),
    ...passwordReset(deps),
    ...emailVerification(deps),
    ...emailChange(deps),
    ...magicLink(deps),

    async register({ email, password, name, accountInviteCode, inviteCode }, context) {
      const settings = await readSettings(autocommit(context), projectOf(context), deps);
      const { signUp, autoConfirmEmail, emailVerification } = settings;
      if (!signUp) throw new Refusal('SIGN_UP_DISABLED');
      const guest = callerIfAny(context);
      const passwordHash = await passwords.hashNew(password, [email, name], context.signal);
      const at = now();
      const registration = {
        projectId: projectOf(context),
        email,
        name,
        passwordHash,
        emailVerified: autoConfirmEmail,
      };
      const invitation = { projectId: projectOf(context), email, accountInviteCode, inviteCode };
      if (hideRegistration) {
        await registerQuietly(deps, registration, invitation, context);
        return {};
      }
      const { user, opened, summary } = await change(context, async (em) => {
        const admission = await joining.admit(em, invitation, at);
        const user = await register(em, registration, guest?.isGuest ? guest.userId : undefined, at);
        await joining.join(em, user, admission, at);
        audit(em, context, { action: 'auth.register', userId: user.id }, at);
        const summary = await readAccountSummary(em, user.projectId, user.id);
        if (!autoConfirmEmail) {
          if (emailVerification) await sendFirstLink(deps, em, user, at);
          // Those of the guest would be sessions of somebody who may not sign in yet.
          if (guest && requireVerifiedEmail) await revokeSessions(em, { userId: user.id }, 'mailbox_unproved', at);
          return { user, summary, opened: undefined };
        }
        const opening = { user, kind: 'web', method: 'password', origin: origin(context) } as const;
        return { user, summary, opened: await opener.open(em, opening, at) };
      });
      const account = summaryToMessage(summary, usage, at);
      return { account, ...(opened ? signedIn(user, opened, at) : { user: userToMessage(user, at) }) };
    },

    async signIn({ email, password, kind }, context) {
      const { user, isKnown, lane } = await checkPassword(context, deps, { email, password });
      const isOutdated = user.passwordHash && passwords.isOutdated(user.passwordHash);
      const rehashed = isOutdated ? await passwords.rehash(user.passwordHash!, password, context.signal) : null;
      const at = now();
      const opening = { user, kind: kindOfClient(kind), method: 'password', origin: origin(context) };
      const opened = opener.draft(opening, at);
      const { session } = opened;
      // Before the transaction: it takes a program's name apart and seals the mail.
      const notice = isKnown ? null : userMail.draftNewDevice(recipientOf(user), session, at);
      const summary = await change(context, async (em) => {
        const draft = { action: 'auth.login', userId: user.id, sessionId: session.id } as const;
        const event = auditRow(context, draft, at);
        return recordSignIn(em, { user, lane, rehashed, session, event, notice }, at);
      });
      user.lastSignInAt = at;
      return { account: summaryToMessage(summary, usage, at), ...signedIn(user, opened, at) };
    },

    async signUpAnonymous({ kind }, context) {
      const at = now();
      const user = User.guest(projectOf(context), at);
      const opened = await change(context, async (em) => {
        await insert(em, user);
        const opening = { user, kind: kindOfClient(kind), method: 'anonymous', origin: origin(context) };
        const opened = await opener.open(em, opening, at);
        audit(em, context, { action: 'auth.sign_up_anonymous', userId: user.id, sessionId: opened.session.id }, at);
        return opened;
      });
      return signedIn(user, opened, at);
    },

    async getSettings(_, context) {
      const settings = await readSettings(autocommit(context), projectOf(context), deps);
      return {
        external: {},
        disableSignup: !settings.signUp,
        mailerAutoconfirm: settings.autoConfirmEmail,
        anonymousUsersEnabled: true,
        emailVerificationEnabled: settings.emailVerification,
        magicLinkEnabled: true,
        passwordMinLength: deps.passwordMinLength,
      };
    },
  };
}
