import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { MfaService } from '../../gen/gatehouse/v1/mfa_pb.ts';
import type { EventDraft } from '../audit/draft.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { Refusal } from '../errors.ts';
import { recordUsed } from '../mfa/challenge.ts';
import { recordVerified } from '../mfa/factor.ts';
import type { FactorMail } from '../mfa/factor-mail.ts';
import { type Signed, verifyAssertion } from '../mfa/webauthn/assertion.ts';
import { CeremonyFault, type Check } from '../mfa/webauthn/ceremony-fault.ts';
import { reportCopiedKey } from '../mfa/webauthn/copied-key.ts';
import { type CredentialRow, credentialOfFactor, findCredential, useCredential } from '../mfa/webauthn/credential.ts';
import { type RelyingParty, userOfHandle } from '../mfa/webauthn/relying-party.ts';
import { type Assertion, readAssertion } from '../mfa/webauthn/response.ts';
import { readSignInChallenge, type SignInChallenge } from '../mfa/webauthn/sign-in-challenge.ts';
import { autocommit, change, clientOf, projectOf } from '../rpc/context.ts';
import { kindOfClient } from '../session/message.ts';
import type { SignInBudget } from '../throttle/sign-in-budget.ts';
import { lockUsers, type User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { openSignIn, signInToMessage } from './open-sign-in.ts';

type Methods = Pick<ServiceImpl<typeof MfaService>, 'finishPasskeySignIn'>;

export interface PasskeySignInDeps extends AuthDeps {
  readonly keys: MasterKeys;
  readonly relyingParty: RelyingParty;
  readonly factorMail: FactorMail;
  readonly passkeySignIns: SignInBudget;
}

/**
 * The one method of MfaService that opens a session. It is here, with the other sign-ins, since its response and its mail are
 * theirs, and the domain of factors imports neither accounts nor sign-ins.
 */
export function passkeySignIn(deps: PasskeySignInDeps): Methods {
  const { now, passkeySignIns } = deps;
  return {
    async finishPasskeySignIn({ credential, challengeId, kind }, context) {
      const assertion = reading(() => readAssertion(credential!));
      return passkeySignIns.run(clientOf(context), assertion.userHandle ?? '', async () => {
        const proof = await prove(deps, { assertion, challengeId }, context);
        const at = now();
        const signedIn = await change(context, async (em) => {
          const user = await spend(em, deps, proof, context, at);
          const { factorId } = proof.credential;
          return openSignIn(em, deps, { user, kind: kindOfClient(kind), method: 'passkey', factorId }, context, at);
        });
        return signInToMessage(deps, signedIn, at);
      });
    },
  };
}

/** What a client sends. */
interface Claim {
  readonly assertion: Assertion;
  /** Undefined if the client does not name the challenge. */
  readonly challengeId: string | undefined;
}

/** A response that a passkey has signed. */
interface Proof {
  readonly projectId: string;
  readonly challenge: SignInChallenge;
  readonly credential: CredentialRow;
  readonly signed: Signed;
}

/**
 * Checks the signature outside any transaction. Throws MFA_CHALLENGE_EXPIRED, PASSKEY_UNKNOWN, PASSKEY_VERIFICATION_FAILED
 * and PASSKEY_NEEDS_USER_VERIFICATION.
 */
async function prove(
  { keys, relyingParty, now }: PasskeySignInDeps,
  { assertion, challengeId }: Claim,
  context: HandlerContext,
): Promise<Proof> {
  const projectId = projectOf(context);
  const challenge = readSignInChallenge(keys, projectId, assertion.clientData.challenge, now());
  const isNamed = challengeId === undefined || challengeId.toLowerCase() === challenge?.id;
  if (!challenge || !isNamed) throw new Refusal('MFA_CHALLENGE_EXPIRED', { event: failed('challenge') });
  const userId = userOfHandle(assertion.userHandle);
  if (!userId) throw refusalFor('user_handle');
  const credentialId = Buffer.from(assertion.id, 'base64url');
  const credential = await findCredential(autocommit(context), { projectId, userId, credentialId });
  if (!credential) throw unknown();
  // Not unknown: a browser that forgot it would take a second factor from the user.
  if (credential.use !== 'passkey') throw refusalFor('credential', userId);
  const signed = await verifyAssertion(relyingParty, challenge.bytes, credential, assertion).catch((error) => {
    throw error instanceof CeremonyFault ? refusalFor(error.check, userId) : error;
  });
  if (!signed.userVerified)
    throw new Refusal('PASSKEY_NEEDS_USER_VERIFICATION', { event: failed('user_verification', userId) });
  return { projectId, challenge, credential, signed };
}

/**
 * Uses the challenge and the counter up, and returns the user, whose row it locks. Of parallel calls with one challenge, one
 * passes. Throws MFA_CHALLENGE_EXPIRED, PASSKEY_UNKNOWN, PASSKEY_VERIFICATION_FAILED, USER_BANNED and EMAIL_NOT_VERIFIED.
 */
async function spend(
  em: EntityManager,
  deps: PasskeySignInDeps,
  { projectId, challenge, credential, signed }: Proof,
  context: HandlerContext,
  now: Date,
): Promise<User> {
  const { userId, factorId } = credential;
  const user = (await lockUsers(em, projectId, [userId])).get(userId);
  if (!user) throw unknown();
  const { id, bytes, expiresAt } = challenge;
  // No session began the challenge, so its own id stands for one.
  const asked = { projectId, userId, sessionId: id, factorId, purpose: 'passkey_sign_in' } as const;
  await recordUsed(em, { ...asked, id, challenge: bytes, expiresAt }, now);
  if (!(await useCredential(em, credential, signed))) {
    const present = await credentialOfFactor(em, userId, factorId);
    if (!present) throw unknown();
    throw refusalFor('counter', userId, reportCopiedKey(deps, { projectId, userId, factorId }, context));
  }
  await recordVerified(em, { userId, id: factorId, step: null }, now);
  if (user.isBanned(now)) throw new Refusal('USER_BANNED', { event: failed('banned', userId) });
  if (deps.registration.requireVerifiedEmail && !user.emailVerifiedAt)
    throw new Refusal('EMAIL_NOT_VERIFIED', { event: failed('email_not_verified', userId) });
  return user;
}

function reading(read: () => Assertion): Assertion {
  try {
    return read();
  } catch (error) {
    throw error instanceof CeremonyFault ? refusalFor(error.check) : error;
  }
}

function refusalFor(check: Check, userId?: string, remember?: (em: EntityManager) => Promise<void>): Refusal {
  const options = { metadata: { check }, event: failed(check, userId), ...(remember && { remember }) };
  return new Refusal('PASSKEY_VERIFICATION_FAILED', options);
}

/** The same for a user and for a passkey that does not exist. */
function unknown(): Refusal {
  return new Refusal('PASSKEY_UNKNOWN', { event: failed('unknown_passkey') });
}

function failed(cause: string, userId?: string): EventDraft {
  return { action: 'auth.login_failed', userId, cause: `passkey ${cause}` };
}
