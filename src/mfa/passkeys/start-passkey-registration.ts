import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Refusal } from '../../errors.ts';
import { requireOwnSignIn } from '../../rpc/assurance.ts';
import { caller, change } from '../../rpc/context.ts';
import { lockUser } from '../../user/user.ts';
import { requireVerifiedMailbox } from '../../user/verified-mailbox.ts';
import { openChallenge } from '../challenge.ts';
import type { MfaDeps, MfaMethods } from '../deps.ts';
import { credentialsOf } from '../webauthn/credential.ts';
import { creationOptions } from '../webauthn/options.ts';
import { mostPasskeys } from './passkey-list.ts';

export function startPasskeyRegistration(deps: MfaDeps): MfaMethods['startPasskeyRegistration'] {
  const { now, relyingParty, challengeBudget } = deps;
  return async (_, context) => {
    const by = caller(context);
    requireOwnSignIn(by);
    const { projectId, userId, sessionId } = by;
    await challengeBudget.count(userId);
    // The passkey has no id yet: the challenge names its user instead.
    const asked = { projectId, userId, sessionId, factorId: userId, purpose: 'passkey_registration' } as const;
    const { challenge, owner, exclude } = await change(context, async (em) => {
      const owner = await lockUser(em, projectId, userId);
      await requireVerifiedMailbox(em, deps, owner);
      const exclude = await credentialsOf(em, userId, 'passkey');
      if (exclude.length >= mostPasskeys) throw new Refusal('FACTOR_LIMIT_REACHED');
      return { challenge: await openChallenge(em, asked, now()), owner, exclude };
    });
    const { id, challenge: bytes, expiresAt } = challenge;
    return {
      challengeId: id,
      expireTime: timestampFromDate(expiresAt),
      creationOptions: creationOptions(relyingParty, { use: 'passkey', owner, challenge: bytes, exclude }),
    };
  };
}
