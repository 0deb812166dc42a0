import type { ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../../audit/event.ts';
import { Refusal } from '../../errors.ts';
import { passkeysOf } from '../../mfa/passkeys/passkey-list.ts';
import { caller, change } from '../../rpc/context.ts';
import { ownRead } from '../../session/own-read.ts';
import { type IdentityRow, identitiesOf, removeIdentity, shownIdentitiesOf } from '../../user/identity.ts';
import { hasPassword } from '../../user/locked-password.ts';
import { lockUser } from '../../user/user.ts';
import type { AuthDeps } from '../deps.ts';
import { mailUnlinked } from './identity-mail.ts';
import { identityToMessage } from './message.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'listIdentities' | 'unlinkIdentity'>;

/** As JSON: the times are texts. */
type IdentityJson = Omit<IdentityRow, 'projectId' | 'userId' | 'emailKey' | 'createdAt' | 'lastSignInAt'> & {
  readonly createdAt: string;
  readonly lastSignInAt: string | null;
};

/** The identities of the caller, the oldest first. */
export const ownIdentities = ownRead<{ identities: IdentityJson[] }>(
  'session_states_identities',
  `${shownIdentitiesOf('named.user_id')} as identities`,
);

function withTimes({ createdAt, lastSignInAt, ...rest }: IdentityJson) {
  return {
    ...rest,
    createdAt: new Date(createdAt),
    lastSignInAt: lastSignInAt === null ? null : new Date(lastSignInAt),
  };
}

export function identities(deps: AuthDeps): Methods {
  const { now, oauth } = deps;
  return {
    listIdentities(_, context) {
      const { identities: found } = ownIdentities.of(context);
      return { identities: found.map((each) => identityToMessage(withTimes(each))) };
    },

    async unlinkIdentity({ identityId }, context) {
      const { projectId, userId } = caller(context);
      const id = identityId.toLowerCase();
      const at = now();
      await change(context, async (em) => {
        // Of two parallel calls the lock lets one count what the other has left.
        const user = await lockUser(em, projectId, userId);
        const held = await identitiesOf(em, userId);
        const identity = held.find((each) => each.id === id);
        if (!identity) throw new Refusal('IDENTITY_NOT_FOUND');
        const others = held.filter((each) => each !== identity && oauth.providers.has(each.provider));
        const isLast = !hasPassword(user) && others.length === 0 && (await passkeysOf(em, userId)).length === 0;
        if (isLast) throw new Refusal('LAST_SIGN_IN_METHOD');
        await removeIdentity(em, userId, id);
        await mailUnlinked(em, deps, { user, identity }, at);
        audit(em, context, { action: 'identity.unlink', userId, entityId: id }, at);
      });
      return {};
    },
  };
}
