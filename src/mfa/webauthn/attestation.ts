import { readAuthenticatorData } from './authenticator-data.ts';
import { readCbor } from './cbor.ts';
import { openCeremonies } from './ceremonies.ts';
import { CeremonyFault, checking, ensure } from './ceremony-fault.ts';
import { checkClientData } from './client-data.ts';
import { isOfferedKey } from './public-key.ts';
import { algorithms, type RelyingParty } from './relying-party.ts';
import type { Attestation } from './response.ts';

/** A credential that an authenticator has created. */
export interface CreatedCredential {
  readonly credentialId: Buffer;
  /** As COSE has it. */
  readonly publicKey: Buffer;
  readonly signCount: number;
  readonly backupEligible: boolean;
  readonly backedUp: boolean;
  readonly transports: readonly string[];
  readonly aaguid: string;
  readonly userVerified: boolean;
}

/** Runs the registration ceremony (WebAuthn Level 3, section 7.1). Throws a CeremonyFault. */
export async function verifyAttestation(
  { id: rpId, origins }: RelyingParty,
  challenge: Buffer,
  { id, clientData, clientDataJSON, attestationObject, transports }: Attestation,
): Promise<CreatedCredential> {
  checkClientData(clientData, { type: 'webauthn.create', challenge, origins });
  const authData = checking('encoding', () => authDataOf(attestationObject));
  const { attested, userVerified } = checking('encoding', () => readAuthenticatorData(authData, rpId));
  if (!attested) throw new CeremonyFault('encoding');
  ensure(attested.credentialId.toString('base64url') === id, 'credential');
  ensure(isOfferedKey(attested.key), 'public_key');
  const response = { clientDataJSON, attestationObject: withoutStatement(authData).toString('base64url') };
  const { verifyRegistrationResponse } = await openCeremonies();
  const { registrationInfo: info } = await verifyRegistrationResponse({
    response: { id, rawId: id, type: 'public-key', clientExtensionResults: {}, response },
    expectedChallenge: challenge.toString('base64url'),
    expectedOrigin: [...origins],
    expectedRPID: rpId,
    requireUserVerification: false,
    supportedAlgorithmIDs: Object.values(algorithms),
  }).catch(() => {
    throw new CeremonyFault('signature');
  });
  if (!info) throw new CeremonyFault('signature');
  return {
    credentialId: attested.credentialId,
    publicKey: Buffer.from(info.credential.publicKey),
    signCount: info.credential.counter,
    backupEligible: info.credentialDeviceType === 'multiDevice',
    backedUp: info.credentialBackedUp,
    transports,
    aaguid: info.aaguid,
    userVerified,
  };
}

function authDataOf(attestationObject: Buffer): Buffer {
  const [object, end] = readCbor(attestationObject);
  ensure(end === attestationObject.length && object instanceof Map && object.size === 3, 'encoding');
  const map = object as ReadonlyMap<unknown, unknown>;
  const authData = map.get('authData');
  ensure(typeof map.get('fmt') === 'string' && map.get('attStmt') instanceof Map, 'encoding');
  if (!(authData instanceof Uint8Array)) throw new CeremonyFault('encoding');
  return Buffer.from(authData);
}

/**
 * The attestation object with the statement `none`. The options ask for none, and a statement that comes all the same proves
 * nothing here.
 *
 * Attack: to verify one with certificates, SimpleWebAuthn requests revocation lists from the addresses in them.
 */
function withoutStatement(authData: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(authData.length);
  const head = Buffer.from('\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59', 'latin1');
  return Buffer.concat([head, length, authData]);
}
