import { randomUUID } from 'node:crypto';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { autocommit, caller, change } from '../rpc/context.ts';
import { signJwt } from '../session/jwt.ts';
import { openChallenge, readStepUp, type StepUpAction } from './challenge.ts';
import { optionsOf } from './challenge-factor.ts';
import type { MfaDeps, MfaMethods } from './deps.ts';
import { findFactor, isUsable } from './factor.ts';
import { typeToMessage } from './message.ts';
import { requireOwnFactor } from './own-factor.ts';
import { judgeProof, type ProvedFactor, spendProof } from './proof.ts';

/** Seconds that a proof is valid for. */
const lifetime = 300;

export function stepUp(deps: MfaDeps): Pick<MfaMethods, 'beginStepUp' | 'finishStepUp'> {
  const { now, challengeBudget } = deps;
  return {
    async beginStepUp({ factorId, action, description, payloadHash, audience }, context) {
      const { projectId, userId, sessionId } = caller(context);
      const factor = await requireOwnFactor(context, factorId);
      // An enrolment that is not finished proves nothing yet.
      if (!isUsable(factor)) throw new Refusal('FACTOR_NOT_FOUND');
      await challengeBudget.count(userId);
      const about = { action, description, audience, payloadHash: Buffer.from(payloadHash).toString('base64url') };
      const asked = { projectId, userId, sessionId, factorId: factor.id, purpose: 'step_up', about } as const;
      const { id, expiresAt, challenge } = await change(context, (em) => openChallenge(em, asked, now()));
      const { requestOptions } = await optionsOf(deps, factor, challenge, context);
      const shown = { type: typeToMessage(factor.type), expireTime: timestampFromDate(expiresAt), description };
      return { challengeId: id, ...shown, ...(requestOptions && { requestOptions }) };
    },

    async finishStepUp({ challengeId, proof }, context) {
      const { userId, sessionId } = caller(context);
      const { factorId, about } = await readStepUp(autocommit(context), { id: challengeId, userId, sessionId });
      const factor = await findFactor(autocommit(context), userId, factorId);
      // The factor was removed since.
      if (!factor) throw new Refusal('MFA_CHALLENGE_EXPIRED');
      const challenge = { id: challengeId, userId, sessionId, factorId, purpose: 'step_up' } as const;
      const proved = await judgeProof(deps, { factor, challenge, proof }, context);
      const at = now();
      await change(context, async (em) => {
        await spendProof(em, deps, proved, context, at);
        audit(em, context, { action: 'factor.step_up', entityId: factor.id }, at);
      });
      return signProof(deps, proved, about, at);
    },
  };
}

/**
 * Signs what was confirmed. Its type and its audience are no access token's, so that neither is taken for the other (RFC 8725,
 * sections 3.11 and 3.12).
 */
function signProof({ ring, issuer }: MfaDeps, { factor, challenge }: ProvedFactor, about: StepUpAction, now: Date) {
  const iat = Math.floor(now.getTime() / 1000);
  const exp = iat + lifetime;
  const claims = {
    iss: issuer,
    sub: factor.userId,
    aud: about.audience,
    iat,
    exp,
    jti: randomUUID(),
    session_id: challenge.sessionId,
    action: about.action,
    description: about.description,
    payload_hash: about.payloadHash,
    amr: [{ method: factor.type, timestamp: iat }],
    acr: 'aal2',
  };
  const stepUpProof = signJwt('step-up+jwt', claims, ring.signer());
  return { stepUpProof, expireTime: timestampFromDate(new Date(exp * 1000)) };
}
