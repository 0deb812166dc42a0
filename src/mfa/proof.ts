import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { VerifyFactorRequest } from '../../gen/gatehouse/v1/mfa_pb.ts';
import type { Refusal } from '../errors.ts';
import { autocommit, origin } from '../rpc/context.ts';
import { refuseFor } from '../throttle/failed-attempts.ts';
import { findUser, lockUser } from '../user/user.ts';
import { attemptChallenge, type ChallengeKey, closeChallenge } from './challenge.ts';
import type { MfaDeps } from './deps.ts';
import { type FactorRow, findFactor, recordVerified } from './factor.ts';
import { isRecoveryCode, spendRecoveryCode } from './recovery-code.ts';
import { refusedProof } from './refused-proof.ts';
import { stepOfCode } from './totp.ts';
import { reportCopiedKey } from './webauthn/copied-key.ts';
import { credentialOfFactor } from './webauthn/credential.ts';
import { judgeCredential } from './webauthn/credential-proof.ts';

/** What a person or an authenticator has sent to prove a factor. */
export type Proof = VerifyFactorRequest['proof'];

/** A proof that was right. Using it up is part of the transaction that acts on it. */
interface JudgedProof {
  /** Whether this call is the one that uses the proof up. */
  spend(em: EntityManager, now: Date): Promise<boolean>;
  /** The time step of a TOTP code. */
  readonly step?: number;
}

/** A proof of a factor for a challenge, judged right. */
export interface ProvedFactor {
  readonly factor: FactorRow;
  readonly challenge: ChallengeKey;
  readonly proof: JudgedProof;
}

interface Claim {
  readonly factor: FactorRow;
  readonly challenge: ChallengeKey;
  readonly proof: Proof;
}

/**
 * Judges a proof outside any transaction, and counts it first: on its challenge and, when it is a wrong code, on its factor.
 * Throws MFA_CHALLENGE_EXPIRED, MFA_VERIFICATION_FAILED, PASSKEY_NEEDS_USER_VERIFICATION and OVER_REQUEST_RATE_LIMIT.
 */
export async function judgeProof(deps: MfaDeps, claim: Claim, context: HandlerContext): Promise<ProvedFactor> {
  const { now, wrongFactorCodes } = deps;
  const { factor, challenge } = claim;
  const attempt = wrongFactorCodes.attempt(factor.projectId, factor.id, '');
  refuseFor(await wrongFactorCodes.waitOf(autocommit(context), attempt, now()), 'account');
  const signed = await attemptChallenge(autocommit(context), challenge, now());
  const proof = await read(deps, claim, signed, context);
  if (proof) return { factor, challenge, proof };
  const { wait, isLast } = await wrongFactorCodes.countLast(autocommit(context), attempt, now());
  refuseFor(wait, 'account');
  const remember = isLast ? (em: EntityManager) => notify(em, deps, factor, context) : undefined;
  throw refusedProof(factor, { cause: 'wrong_code', ...(remember && { remember }) });
}

/** The proof if it is right, else undefined. */
async function read(
  { keys, now, relyingParty }: MfaDeps,
  { factor, proof }: Claim,
  challenge: Buffer,
  context: HandlerContext,
): Promise<JudgedProof | undefined> {
  const { id, userId, type, secretSealed, lastStep } = factor;
  // A signature cannot be guessed, so a wrong one is not counted: that would only lock the user out.
  if (proof.case === 'credential' && (type === 'webauthn' || type === 'passkey'))
    return judgeCredential(autocommit(context), relyingParty, { factor, challenge, credential: proof.value });
  if (proof.case !== 'code') return undefined;
  if (type === 'totp' && secretSealed) {
    const step = stepOfCode(keys, { id, userId, secretSealed, lastStep }, proof.value, now());
    return step === undefined ? undefined : { step, spend: async () => true };
  }
  if (type !== 'recovery_code') return undefined;
  const owned = { userId, factorId: id };
  const isRight = await isRecoveryCode(autocommit(context), keys, owned, proof.value);
  return isRight ? { spend: (em, at) => spendRecoveryCode(em, keys, owned, proof.value, at) } : undefined;
}

/**
 * Uses the challenge and the proof up, in the transaction that acts on them, and records the use of the factor. Of parallel
 * calls one passes. The owner is notified of each recovery code that is used. Throws MFA_CHALLENGE_EXPIRED and MFA_VERIFICATION_FAILED. Returns whether the factor was verified before.
 */
export async function spendProof(
  em: EntityManager,
  deps: MfaDeps,
  { factor, challenge, proof }: ProvedFactor,
  context: HandlerContext,
  now: Date,
): Promise<{ readonly wasVerified: boolean }> {
  const { wrongFactorCodes, factorMail } = deps;
  const { id, userId, projectId } = factor;
  await closeChallenge(em, challenge, now);
  const isSpent = await proof.spend(em, now);
  const recorded = isSpent && (await recordVerified(em, { userId, id, step: proof.step ?? null }, now));
  if (!recorded) throw await unspent(em, deps, factor, context);
  await wrongFactorCodes.clear(em, projectId, id);
  if (factor.type === 'recovery_code') {
    const remaining = (await findFactor(em, userId, id))?.remainingCodes ?? 0;
    const user = await lockUser(em, projectId, userId);
    await factorMail.codeUsed(em, user, { remaining, origin: origin(context) }, now);
  }
  return recorded;
}

/** The owner learns of wrong codes once, with the code after which no further one is judged. */
async function notify(
  em: EntityManager,
  { factorMail, now }: MfaDeps,
  factor: FactorRow,
  context: HandlerContext,
): Promise<void> {
  const user = await findUser(em, factor.projectId, factor.userId);
  await factorMail.failed(em, user, { factor, origin: origin(context) }, now());
}

/** Why a proof that was right could not be used up: its code was used, or the counter of its authenticator has not grown. */
async function unspent(em: EntityManager, deps: MfaDeps, factor: FactorRow, context: HandlerContext): Promise<Refusal> {
  const { id: factorId, userId, projectId, type } = factor;
  const isDevice = type === 'webauthn' || type === 'passkey';
  // Without a credential the factor was deleted meanwhile.
  if (!isDevice || !(await credentialOfFactor(em, userId, factorId)))
    return refusedProof(factor, { cause: 'used_code' });
  const remember = reportCopiedKey(deps, { projectId, userId, factorId }, context);
  return refusedProof(factor, { cause: 'counter', check: 'counter', remember });
}
