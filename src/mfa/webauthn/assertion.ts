import { readAuthenticatorData } from './authenticator-data.ts';
import { openCeremonies } from './ceremonies.ts';
import { checking, ensure } from './ceremony-fault.ts';
import { checkClientData } from './client-data.ts';
import { isHandleOf, type RelyingParty, type Use } from './relying-party.ts';
import type { Assertion } from './response.ts';

/** What is stored of the credential that has to sign. */
export interface SigningCredential {
  readonly userId: string;
  readonly use: Use;
  readonly credentialId: Buffer;
  readonly publicKey: Buffer;
  readonly backupEligible: boolean;
}

/** What an authenticator has said with a valid signature. */
export interface Signed {
  readonly userVerified: boolean;
  readonly signCount: number;
  readonly backedUp: boolean;
}

/**
 * Runs the authentication ceremony (WebAuthn Level 3, section 7.2) without its judgement of the counter, which belongs into
 * the transaction that stores it. Throws a CeremonyFault.
 */
export async function verifyAssertion(
  { id: rpId, origins }: RelyingParty,
  challenge: Buffer,
  stored: SigningCredential,
  { id, clientData, clientDataJSON, authenticatorData, signature, userHandle }: Assertion,
): Promise<Signed> {
  ensure(stored.credentialId.toString('base64url') === id, 'credential');
  ensure(userHandle === undefined || isHandleOf(userHandle, stored.userId, stored.use), 'user_handle');
  checkClientData(clientData, { type: 'webauthn.get', challenge, origins });
  const data = checking('encoding', () => readAuthenticatorData(authenticatorData, rpId));
  ensure(data.backupEligible === stored.backupEligible, 'backup_flags');
  const response = { clientDataJSON, authenticatorData: authenticatorData.toString('base64url'), signature };
  const { verifyAuthenticationResponse } = await openCeremonies();
  const { verified } = await verifyAuthenticationResponse({
    response: { id, rawId: id, type: 'public-key', clientExtensionResults: {}, response },
    expectedChallenge: challenge.toString('base64url'),
    expectedOrigin: [...origins],
    expectedRPID: rpId,
    requireUserVerification: false,
    // Below every counter, so that none is refused here.
    credential: { id, publicKey: new Uint8Array(stored.publicKey), counter: -1 },
  }).catch(() => ({ verified: false }));
  ensure(verified, 'signature');
  return data;
}
