import type { ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../../audit/event.ts';
import { Refusal } from '../../errors.ts';
import { autocommit, caller, change } from '../../rpc/context.ts';
import { byEmail } from '../../text/sign-in-providers.ts';
import { type IdentityRow, identitiesOf, removeIdentity } from '../../user/identity.ts';
import { identityToMessage } from '../../user/identity-message.ts';
import { lockUser, type User } from '../../user/user.ts';
import type { AuthDeps } from '../deps.ts';
import { isLockedPassword } from '../first-proof.ts';
import { requireLinking } from './link.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'listIdentities' | 'unlinkIdentity'>;

export function identities(deps: AuthDeps): Methods {
  const { now } = deps;
  return {
    async listIdentities(_, context) {
      const found = await identitiesOf(autocommit(context), caller(context).userId);
      return { identities: found.map(identityToMessage) };
    },

    async unlinkIdentity({ identityId, email }, context) {
      requireOne(identityId, email);
      requireLinking(deps);
      const { projectId, userId } = caller(context);
      const at = now();
      await change(context, async (em) => {
        // Of two parallel calls the lock lets one count what the other has left.
        const user = await lockUser(em, projectId, userId);
        const held = await identitiesOf(em, userId);
        const entityId = email ? unlinkAddress(user, held) : await unlink(em, user, held, identityId.toLowerCase());
        user.updatedAt = at;
        audit(em, context, { action: 'identity.unlink', userId, entityId }, at);
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

/** A user without an identity keeps their password. Returns the id that stands for the address. */
function unlinkAddress(user: User, held: readonly IdentityRow[]): string {
  if (!user.providers.includes(byEmail)) throw new Refusal('IDENTITY_NOT_FOUND');
  if (held.length === 0) throw new Refusal('LAST_SIGN_IN_METHOD');
  user.passwordHash = null;
  user.mustChangePassword = false;
  user.providers = user.providers.filter((each) => each !== byEmail);
  return user.id;
}

async function unlink(em: EntityManager, user: User, held: readonly IdentityRow[], id: string): Promise<string> {
  if (!held.some((each) => each.id === id)) throw new Refusal('IDENTITY_NOT_FOUND');
  const hasPassword = user.passwordHash != null && !isLockedPassword(user.passwordHash);
  const readsMail = user.providers.includes(byEmail) && user.emailVerifiedAt != null;
  if (!hasPassword && !readsMail && held.length === 1) throw new Refusal('LAST_SIGN_IN_METHOD');
  await removeIdentity(em, user, held, id);
  return id;
}
