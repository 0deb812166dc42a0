import type { JsonObject } from '@bufbuild/protobuf';
import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../../audit/event.ts';
import { insert } from '../../database/insert.ts';
import { Refusal } from '../../errors.ts';
import { autocommit, caller, change } from '../../rpc/context.ts';
import { lockUser } from '../../user/user.ts';
import { requireVerifiedMailbox } from '../../user/verified-mailbox.ts';
import { attemptChallenge, closeChallenge } from '../challenge.ts';
import type { MfaDeps, MfaMethods } from '../deps.ts';
import { Factor } from '../factor.ts';
import { type CreatedCredential, verifyAttestation } from '../webauthn/attestation.ts';
import { CeremonyFault } from '../webauthn/ceremony-fault.ts';
import { storeCredential } from '../webauthn/credential.ts';
import type { RelyingParty } from '../webauthn/relying-party.ts';
import { readAttestation } from '../webauthn/response.ts';
import { acceptedToMessage, mostPasskeys, passkeysOf, passkeyToMessage } from './passkey-list.ts';

export function finishPasskeyRegistration(deps: MfaDeps): MfaMethods['finishPasskeyRegistration'] {
  const { now, relyingParty } = deps;
  return async ({ challengeId, credential, friendlyName }, context) => {
    const { projectId, userId, sessionId } = caller(context);
    const asked = { userId, sessionId, factorId: userId, purpose: 'passkey_registration' } as const;
    const key = { id: challengeId, ...asked };
    const challenge = await attemptChallenge(autocommit(context), key, now());
    const created = await judge(relyingParty, challenge, credential!);
    const at = now();
    const id = Factor.newId(at);
    const draft = { id, projectId, userId, type: 'passkey', friendlyName, verifiedAt: at } as const;
    const factor = Factor.enroll(draft, at);
    const earlier = await change(context, async (em) => {
      const user = await lockUser(em, projectId, userId);
      await requireVerifiedMailbox(em, deps, user);
      await closeChallenge(em, key, at);
      const passkeys = await requireRoom(em, userId, friendlyName);
      await insert(em, factor);
      await storeCredential(em, { factorId: id, projectId, userId }, created);
      await deps.factorMail.passkeyAdded(em, user, factor, at);
      audit(em, context, { action: 'passkey.register', entityId: id }, at);
      return passkeys;
    });
    const passkey = { ...factor, ...created };
    return {
      passkey: passkeyToMessage(passkey),
      acceptedCredentials: acceptedToMessage(relyingParty, userId, [...earlier, passkey]),
    };
  };
}

/** Throws PASSKEY_NOT_ACCEPTED and PASSKEY_NEEDS_USER_VERIFICATION. */
async function judge(party: RelyingParty, challenge: Buffer, credential: JsonObject): Promise<CreatedCredential> {
  try {
    const created = await verifyAttestation(party, challenge, readAttestation(credential));
    if (!created.userVerified) throw new Refusal('PASSKEY_NEEDS_USER_VERIFICATION');
    return created;
  } catch (error) {
    if (!(error instanceof CeremonyFault)) throw error;
    throw new Refusal('PASSKEY_NOT_ACCEPTED', { metadata: { check: error.check } });
  }
}

/** Returns the passkeys of the user. Throws FACTOR_LIMIT_REACHED and FACTOR_NAME_CONFLICT. */
async function requireRoom(em: EntityManager, userId: string, friendlyName: string) {
  const passkeys = await passkeysOf(em, userId);
  if (passkeys.length >= mostPasskeys) throw new Refusal('FACTOR_LIMIT_REACHED');
  // Any number of passkeys may have no name.
  if (friendlyName && passkeys.some((each) => each.friendlyName === friendlyName))
    throw new Refusal('FACTOR_NAME_CONFLICT');
  return passkeys;
}
