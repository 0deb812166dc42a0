import type { JsonObject } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import { autocommit, caller, change, reads } from '../rpc/context.ts';
import { findUser } from '../user/user.ts';
import { openChallenge } from './challenge.ts';
import type { MfaDeps, MfaMethods } from './deps.ts';
import type { FactorRow } from './factor.ts';
import { typeToMessage } from './message.ts';
import { requireOwnFactor } from './own-factor.ts';
import { credentialOfFactor, credentialsOf } from './webauthn/credential.ts';
import { creationOptions, requestOptions } from './webauthn/options.ts';

export function challengeFactor(deps: MfaDeps): MfaMethods['challengeFactor'] {
  const { now, challengeBudget } = deps;
  return async ({ factorId }, context) => {
    const { projectId, userId, sessionId } = caller(context);
    const factor = await requireOwnFactor(context, factorId);
    await challengeBudget.count(userId);
    const asked = { projectId, userId, sessionId, factorId: factor.id, purpose: 'verify' } as const;
    const challenge = await change(context, (em) => openChallenge(em, asked, now()));
    return {
      challengeId: challenge.id,
      type: typeToMessage(factor.type),
      expireTime: timestampFromDate(challenge.expiresAt),
      ...(await optionsOf(deps, factor, challenge.challenge, context)),
    };
  };
}

/** What the browser is given for a WebAuthn factor or a passkey. */
async function optionsOf(
  { relyingParty }: MfaDeps,
  { id, projectId, userId, type, verifiedAt }: FactorRow,
  challenge: Uint8Array,
  context: HandlerContext,
): Promise<{ creationOptions?: JsonObject; requestOptions?: JsonObject }> {
  if (type !== 'webauthn' && type !== 'passkey') return {};
  if (!verifiedAt) {
    const owner = await findUser(reads(context), projectId, userId);
    const exclude = await credentialsOf(autocommit(context), userId, type);
    return { creationOptions: creationOptions(relyingParty, { use: type, owner, challenge, exclude }) };
  }
  const credential = await credentialOfFactor(autocommit(context), userId, id);
  const allow = credential ? [credential] : [];
  return { requestOptions: requestOptions(relyingParty, { use: type, challenge, allow }) };
}
