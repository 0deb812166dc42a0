import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../../audit/event.ts';
import { Refusal } from '../../errors.ts';
import { requireOwnSignIn } from '../../rpc/assurance.ts';
import { caller, change } from '../../rpc/context.ts';
import { lowerSessions } from '../../session/elevation.ts';
import { identitiesOf } from '../../user/identity.ts';
import { hasPassword } from '../../user/locked-password.ts';
import { lockUser, type User } from '../../user/user.ts';
import type { MfaDeps, MfaMethods } from '../deps.ts';
import { deleteFactors } from '../factor.ts';
import { acceptedToMessage, passkeysOf } from './passkey-list.ts';

export function deletePasskey(deps: MfaDeps): MfaMethods['deletePasskey'] {
  const { now, relyingParty } = deps;
  return async ({ passkeyId }, context) => {
    const by = caller(context);
    requireOwnSignIn(by);
    const { projectId, userId } = by;
    const at = now();
    const { deleted, left } = await change(context, async (em) => {
      const user = await lockUser(em, projectId, userId);
      const passkeys = await passkeysOf(em, userId);
      const deleted = passkeys.find(({ id }) => id === passkeyId.toLowerCase());
      if (!deleted) throw new Refusal('PASSKEY_NOT_FOUND');
      if (passkeys.length === 1 && !(await canSignInWithout(em, deps, user))) throw new Refusal('LAST_FACTOR');
      await lowerSessions(em, userId, deleted.id);
      await deleteFactors(em, userId, [deleted.id]);
      await deps.factorMail.passkeyRemoved(em, user, { type: 'passkey', ...deleted }, at);
      audit(em, context, { action: 'passkey.delete', entityId: deleted.id }, at);
      return { deleted, left: passkeys.filter((each) => each !== deleted) };
    });
    return {
      acceptedCredentials: acceptedToMessage(relyingParty, userId, left),
      unknownCredential: { rpId: relyingParty.id, credentialId: deleted.credentialId.toString('base64url') },
    };
  };
}

/** Whether the user can sign in without a passkey: with a password, by mail to a verified address or with a provider. */
async function canSignInWithout(em: EntityManager, { outbox, isProvider }: MfaDeps, user: User): Promise<boolean> {
  if (hasPassword(user) || (user.emailVerifiedAt != null && !outbox.isOff)) return true;
  return (await identitiesOf(em, user.id)).some(({ provider }) => isProvider(provider, user.projectId));
}
