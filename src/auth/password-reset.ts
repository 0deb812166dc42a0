import type { ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { type Reason, Refusal } from '../errors.ts';
import { consume, look, voidFor } from '../one-time/token.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { revokeSessions } from '../session/revocation.ts';
import type { AuthDeps } from './deps.ts';
import { sendLink } from './send-link.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'requestPasswordReset' | 'verifyResetToken' | 'resetPassword'>;

interface Reset {
  readonly id: string;
  readonly email: string;
  readonly name: string;
  readonly locale: string;
}

// Whoever has the mailbox, and no matter who had the account before, is its owner from now on. What was guessed of the old
// password is no guess of the new one.
const setPassword = statement<Reset>(
  'user_reset_password',
  `with reset as (
     update users set password_hash = $4, must_change_password = false, email_verified_at = coalesce(email_verified_at, $2),
       pending_email = null, updated_at = $2
     where id = $1 and email_key = $3 and deleted_at is null returning id, project_id, email, name, locale
   ), forgotten as (
     delete from rate_limits r using reset where r.project_id = reset.project_id and r.key = any($5::text[])
   )
   select id, email, name, locale from reset`,
);

export function passwordReset(deps: AuthDeps): Methods {
  const { now, passwords, userMail, passwordFailures, ownPasswordFailures } = deps;
  return {
    async requestPasswordReset({ email }, context) {
      const isFor = ({ passwordHash }: { passwordHash?: string | null | undefined }) => passwordHash != null;
      const action = 'auth.password_reset.request';
      await sendLink(deps, { kind: 'password_reset', email, action, isFor }, context);
      return {};
    },

    async verifyResetToken({ token: raw }, context) {
      const value = { projectId: projectOf(context), raw };
      const seen = await look(autocommit(context), 'password_reset', value, now());
      return seen?.is_good ? { valid: true, email: seen.email ?? '' } : { valid: false };
    },

    async resetPassword({ token: raw, newPassword }, context) {
      if (!raw) throw new Refusal('TOKEN_REQUIRED');
      const projectId = projectOf(context);
      const value = { projectId, raw };
      // Before the hash, which a made-up token must not have us compute.
      const seen = await look(autocommit(context), 'password_reset', value, now());
      if (!seen?.is_good) throw refused(seen?.user_id);
      if (!newPassword) throw new Refusal('PASSWORD_REQUIRED');
      const passwordHash = await passwords.hashNew(newPassword, [seen.email ?? '', seen.name], context.signal);
      const at = now();
      await change(context, async (em) => {
        const used = await consume(em, 'password_reset', value, at);
        const forgiven = used && [...passwordFailures.keysOf(used.target), ...ownPasswordFailures.keysOf(used.user_id)];
        const [user] = used ? await setPassword(em, [used.user_id, at, used.target, passwordHash, forgiven]) : [];
        if (!user) throw refused(seen.user_id);
        await revokeSessions(em, { userId: user.id }, 'password_changed', at);
        await voidFor(em, user.id, at);
        await userMail.tellPasswordChanged(em, { ...user, projectId }, at);
        audit(em, context, { action: 'auth.password_reset.complete', userId: user.id }, at);
      });
      return {};
    },
  };
}

function refused(userId: string | undefined): Refusal {
  const reason: Reason = userId ? 'RESET_TOKEN_USED_OR_EXPIRED' : 'RESET_TOKEN_INVALID';
  const cause = userId ? 'used_or_expired' : 'unknown_token';
  return new Refusal(reason, { event: { action: 'auth.password_reset.complete', userId, cause } });
}
