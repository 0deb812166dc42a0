import type { ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../../audit/event.ts';
import { Refusal } from '../../errors.ts';
import { passkeysOf } from '../../mfa/passkeys/passkey-list.ts';
import { requireOwnSignIn } from '../../rpc/assurance.ts';
import { caller, change } from '../../rpc/context.ts';
import { ownRead } from '../../session/own-read.ts';
import { byEmail } from '../../text/sign-in-providers.ts';
import { type IdentityRow, identitiesOf, removeIdentity, shownIdentitiesOf } from '../../user/identity.ts';
import { type IdentityJson, jsonIdentityToMessage } from '../../user/identity-message.ts';
import { hasPassword } from '../../user/locked-password.ts';
import { lockUser, type User } from '../../user/user.ts';
import type { AuthDeps } from '../deps.ts';
import { mailIdentity } from './identity-mail.ts';
import { requireLinking } from './link.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'listIdentities' | 'unlinkIdentity'>;

/** The identities of the caller, the oldest first. */
export const ownIdentities = ownRead<{ identities: IdentityJson[] }>(
  'session_states_identities',
  `${shownIdentitiesOf('named.user_id')} as identities`,
);

export function identities(deps: AuthDeps): Methods {
  const { now } = deps;
  return {
    listIdentities(_, context) {
      const { identities: found } = ownIdentities.of(context);
      return { identities: found.map(jsonIdentityToMessage) };
    },

    async unlinkIdentity({ identityId, email }, context) {
      requireOne(identityId, email);
      requireLinking(deps);
      const by = caller(context);
      requireOwnSignIn(by);
      const { projectId, userId } = by;
      const at = now();
      await change(context, async (em) => {
        // Of two parallel calls the lock lets one count what the other has left.
        const user = await lockUser(em, projectId, userId);
        const rest = await restOf(em, deps, user, identityId.toLowerCase());
        const identity = email ? unlinkAddress(user, rest) : await unlink(em, user, rest);
        user.updatedAt = at;
        await mailIdentity(em, deps, { user, identity, change: 'unlinked' }, at);
        audit(em, context, { action: 'identity.unlink', userId, entityId: identity.id }, at);
      });
      return {};
    },
  };
}

function requireOne(identityId: string, email: boolean): void {
  if ((identityId !== '') !== email) return;
  const description = 'either identity_id or email is required, not both';
  throw new Refusal('INVALID_ARGUMENT', { fields: [{ field: 'identity_id', description }] });
}

interface Ways {
  readonly held: readonly IdentityRow[];
  readonly identity: IdentityRow | undefined;
  /** A passkey, or an identity of a configured provider beside the one named. */
  readonly hasAnother: boolean;
}

/** The ways in which a user can sign in without a password, if the identity with this id is unlinked. */
async function restOf(em: EntityManager, { oauth }: AuthDeps, { id: userId }: User, id: string): Promise<Ways> {
  const held = await identitiesOf(em, userId);
  const identity = held.find((each) => each.id === id);
  const others = held.filter((each) => each !== identity && oauth.providers.has(each.provider, each.projectId));
  return { held, identity, hasAnother: others.length > 0 || (await passkeysOf(em, userId)).length > 0 };
}

/** Removes the password. Returns what stands for the address. */
function unlinkAddress(user: User, { hasAnother }: Ways) {
  if (!user.providers.includes(byEmail)) throw new Refusal('IDENTITY_NOT_FOUND');
  if (!hasAnother) throw new Refusal('LAST_SIGN_IN_METHOD');
  user.passwordHash = null;
  user.mustChangePassword = false;
  user.providers = user.providers.filter((each) => each !== byEmail);
  return { id: user.id, provider: byEmail, email: user.email, username: '', name: '' };
}

async function unlink(em: EntityManager, user: User, { held, identity, hasAnother }: Ways): Promise<IdentityRow> {
  if (!identity) throw new Refusal('IDENTITY_NOT_FOUND');
  const readsMail = user.providers.includes(byEmail) && user.emailVerifiedAt != null;
  if (!hasPassword(user) && !readsMail && !hasAnother) throw new Refusal('LAST_SIGN_IN_METHOD');
  await removeIdentity(em, user, held, identity.id);
  return identity;
}
