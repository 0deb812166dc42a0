import { ownRead } from '../../session/own-read.ts';
import type { MfaDeps, MfaMethods } from '../deps.ts';
import { acceptedToMessage, type PasskeyRow, passkeyToMessage } from './passkey-list.ts';

/** A PasskeyRow as JSON: the times are texts, and the id of the credential is in hexadecimal. */
type PasskeyJson = Omit<PasskeyRow, 'credentialId' | 'createdAt' | 'lastUsedAt'> & {
  readonly credentialId: string;
  readonly createdAt: string;
  readonly lastUsedAt: string | null;
};

/** The passkeys of the caller, oldest first. */
export const ownPasskeys = ownRead<{ passkeys: PasskeyJson[] }>(
  'session_states_passkeys',
  `coalesce((select json_agg(json_build_object('id', f.id, 'friendlyName', f.friendly_name, 'createdAt', f.created_at,
       'lastUsedAt', f.last_used_at, 'credentialId', encode(c.credential_id, 'hex'), 'backupEligible', c.backup_eligible,
       'backedUp', c.backed_up, 'transports', c.transports, 'aaguid', c.aaguid) order by f.id)
     from factors f join webauthn_credentials c on c.user_id = named.user_id and c.factor_id = f.id
     where f.user_id = named.user_id and f.type = 'passkey'), '[]') as passkeys`,
);

function fromJson({ credentialId, createdAt, lastUsedAt, ...rest }: PasskeyJson): PasskeyRow {
  return {
    ...rest,
    credentialId: Buffer.from(credentialId, 'hex'),
    createdAt: new Date(createdAt),
    lastUsedAt: lastUsedAt === null ? null : new Date(lastUsedAt),
  };
}

export function listPasskeys({ relyingParty }: MfaDeps): MfaMethods['listPasskeys'] {
  return (_, context) => {
    const { user_id, passkeys } = ownPasskeys.of(context);
    const rows = passkeys.map(fromJson);
    return {
      passkeys: rows.map(passkeyToMessage),
      acceptedCredentials: acceptedToMessage(relyingParty, user_id, rows),
    };
  };
}
