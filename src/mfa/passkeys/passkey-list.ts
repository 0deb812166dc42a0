import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AcceptedCredentialsSchema, PasskeySchema } from '../../../gen/gatehouse/v1/mfa_pb.ts';
import type { Autocommit } from '../../database/autocommit.ts';
import { type FactorRow, factorsOf } from '../factor.ts';
import { type CredentialRow, credentialsOf } from '../webauthn/credential.ts';
import { type RelyingParty, userHandleOf } from '../webauthn/relying-party.ts';

/** Passkeys that one user may have. */
export const mostPasskeys = 10;

/** A passkey: the factor and its credential. */
export type PasskeyRow = Pick<FactorRow, 'id' | 'friendlyName' | 'createdAt'> &
  Partial<Pick<FactorRow, 'lastUsedAt'>> &
  Pick<CredentialRow, 'credentialId' | 'backupEligible' | 'backedUp' | 'transports' | 'aaguid'>;

/** The passkeys of a user, oldest first. */
export async function passkeysOf(on: Autocommit | EntityManager, userId: string): Promise<PasskeyRow[]> {
  const factors = new Map((await factorsOf(on, userId)).map((each) => [each.id, each]));
  const credentials = await credentialsOf(on, userId, 'passkey');
  // Read by two statements, between which a passkey may have been deleted.
  return credentials.flatMap((credential) => {
    const factor = factors.get(credential.factorId);
    return factor ? [{ ...factor, ...credential }] : [];
  });
}

export function passkeyToMessage(passkey: PasskeyRow): MessageInitShape<typeof PasskeySchema> {
  const { id, friendlyName, createdAt, lastUsedAt, credentialId, transports, ...rest } = passkey;
  return {
    id,
    friendlyName,
    createTime: timestampFromDate(createdAt),
    ...(lastUsedAt && { lastUseTime: timestampFromDate(lastUsedAt) }),
    credentialId: credentialId.toString('base64url'),
    backupEligible: rest.backupEligible,
    backedUp: rest.backedUp,
    transports: [...transports],
    aaguid: rest.aaguid,
  };
}

/** What a browser is told of the passkeys of a user, so that it offers no others. */
export function acceptedToMessage(
  { id: rpId }: RelyingParty,
  userId: string,
  passkeys: readonly Pick<PasskeyRow, 'credentialId'>[],
): MessageInitShape<typeof AcceptedCredentialsSchema> {
  return {
    rpId,
    userId: userHandleOf(userId, 'passkey'),
    allAcceptedCredentialIds: passkeys.map(({ credentialId }) => credentialId.toString('base64url')),
  };
}
