import type { ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { audit, auditRow } from '../audit/event.ts';
import type { Clock } from '../database/clock.ts';
import { insert } from '../database/insert.ts';
import { Refusal } from '../errors.ts';
import { readSettings } from '../project/settings.ts';
import { caller, callerIfAny, change, direct, origin, projectOf, reads } from '../rpc/context.ts';
import { kindOfClient, sessionToMessage } from '../session/message.ts';
import type { Opened, SessionOpener } from '../session/opening.ts';
import { userToMessage } from '../user/message.ts';
import type { Passwords } from '../user/password.ts';
import { findUser, User } from '../user/user.ts';
import { register } from './register.ts';
import { checkPassword, recordSignIn } from './sign-in.ts';

interface Deps {
  readonly now: Clock;
  readonly passwords: Passwords;
  readonly opener: SessionOpener;
  readonly signUp: boolean;
  readonly autoConfirmEmail: boolean;
}

export function authService(deps: Deps): ServiceImpl<typeof AuthService> {
  const { now, passwords, opener } = deps;

  function signedIn(user: User, opened: Opened, at: Date) {
    return {
      user: userToMessage(user, at),
      tokens: opener.tokensOf(opened, user, at),
      session: sessionToMessage(opened.session, opened.session.id),
    };
  }

  return {
    async register({ email, password, name }, context) {
      const { signUp, autoConfirmEmail } = await readSettings(direct(context), projectOf(context), deps);
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
      const { user, opened } = await change(context, async (em) => {
        const user = await register(em, registration, guest?.isGuest ? guest.userId : undefined, at);
        audit(em, context, { action: 'auth.register', userId: user.id }, at);
        if (!autoConfirmEmail) return { user, opened: undefined };
        const opening = { user, kind: 'web', method: 'password', origin: origin(context) } as const;
        return { user, opened: await opener.open(em, opening, at) };
      });
      return opened ? signedIn(user, opened, at) : { user: userToMessage(user, at) };
    },

    async signIn({ email, password, kind }, context) {
      const { signal } = context;
      const credentials = { projectId: projectOf(context), email, password };
      const user = await checkPassword(direct(context), passwords, credentials, now, signal);
      const isOutdated = user.passwordHash && passwords.isOutdated(user.passwordHash);
      const rehashed = isOutdated ? await passwords.rehash(user.passwordHash!, password, signal) : null;
      const at = now();
      const opening = { user, kind: kindOfClient(kind), method: 'password', origin: origin(context) };
      const opened = opener.draft(opening, at);
      await change(context, async (em) => {
        const draft = { action: 'auth.login', userId: user.id, sessionId: opened.session.id } as const;
        const event = auditRow(em, context, draft, at);
        await recordSignIn(em, { user, rehashed, session: opened.session, event }, at);
      });
      user.lastSignInAt = at;
      return signedIn(user, opened, at);
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

    async getMe(_, context) {
      const { projectId, userId } = caller(context);
      return { user: userToMessage(await findUser(reads(context), projectId, userId), now()) };
    },
  };
}
