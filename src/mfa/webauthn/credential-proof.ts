import type { JsonObject } from '@bufbuild/protobuf';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../../database/autocommit.ts';
import { Refusal } from '../../errors.ts';
import type { FactorRow } from '../factor.ts';
import { refusedProof } from '../refused-proof.ts';
import { verifyAssertion } from './assertion.ts';
import { verifyAttestation } from './attestation.ts';
import { CeremonyFault } from './ceremony-fault.ts';
import { credentialOfFactor, storeCredential, useCredential } from './credential.ts';
import type { RelyingParty } from './relying-party.ts';
import { readAssertion, readAttestation } from './response.ts';

interface Claimed {
  readonly factor: FactorRow;
  /** The bytes of the challenge. */
  readonly challenge: Buffer;
  readonly credential: JsonObject;
}

/**
 * Judges the response of an authenticator: to a registration while the factor is not verified, and to an authentication
 * afterwards. Throws MFA_VERIFICATION_FAILED and PASSKEY_NEEDS_USER_VERIFICATION. `spend` returns false when a counter has
 * not grown, or when the factor was deleted meanwhile.
 */
export async function judgeCredential(
  on: Autocommit,
  relyingParty: RelyingParty,
  { factor, challenge, credential }: Claimed,
): Promise<{ spend(em: EntityManager): Promise<boolean> }> {
  const { id: factorId, projectId, userId, type } = factor;
  const owner = { factorId, projectId, userId };
  try {
    if (type === 'webauthn' && !factor.verifiedAt) {
      const created = await verifyAttestation(relyingParty, challenge, readAttestation(credential));
      return { spend: (em) => storeCredential(em, owner, created).then(() => true) };
    }
    const stored = await credentialOfFactor(on, userId, factorId);
    if (!stored) throw new CeremonyFault('credential');
    const signed = await verifyAssertion(relyingParty, challenge, stored, readAssertion(credential));
    if (type === 'passkey' && !signed.userVerified) throw new Refusal('PASSKEY_NEEDS_USER_VERIFICATION');
    return { spend: (em) => useCredential(em, owner, signed) };
  } catch (error) {
    if (!(error instanceof CeremonyFault)) throw error;
    throw refusedProof(factor, { cause: error.check, check: error.check });
  }
}
