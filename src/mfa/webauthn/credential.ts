import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../../database/autocommit.ts';
import { insertIfFree } from '../../database/insert.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import { projectColumn } from '../../project/project.ts';
import { Factor } from '../factor.ts';
import type { Signed } from './assertion.ts';
import type { CreatedCredential } from './attestation.ts';
import type { Use } from './relying-party.ts';

const CredentialTable = defineEntity({
  name: 'WebauthnCredential',
  tableName: 'webauthn_credentials',
  properties: {
    factorId: () => p.manyToOne(Factor).mapToPk().fieldName('factor_id').deleteRule('cascade').primary(),
    projectId: () => projectColumn(),
    userId: p.uuid(),
    credentialId: p.blob(),
    /** As COSE has it. */
    publicKey: p.blob(),
    /** An unsigned number of 32 bits. */
    signCount: p.bigint('number'),
    backupEligible: p.boolean(),
    backedUp: p.boolean(),
    transports: p.json<readonly string[]>(),
    /** The model of the authenticator. All zero when it does not say. */
    aaguid: p.uuid(),
  },
  uniques: [{ name: 'webauthn_credentials_id', properties: ['projectId', 'credentialId'] }],
});

/** The public half of a key in an authenticator. Its factor says whether it is a passkey. */
export class WebauthnCredential extends CredentialTable.class {}
CredentialTable.setClass(WebauthnCredential);

/** A credential with what is needed to run a ceremony with it. */
export interface CredentialRow {
  readonly factorId: string;
  readonly userId: string;
  readonly use: Use;
  readonly credentialId: Buffer;
  readonly publicKey: Buffer;
  readonly backupEligible: boolean;
  readonly backedUp: boolean;
  readonly transports: readonly string[];
  readonly aaguid: string;
}

const columns = `c.factor_id as "factorId", c.user_id as "userId", f.type as use, c.credential_id as "credentialId",
     c.public_key as "publicKey", c.backup_eligible as "backupEligible", c.backed_up as "backedUp", c.transports, c.aaguid`;

const tables = 'webauthn_credentials c join factors f on f.user_id = :userId and f.id = c.factor_id';

const readOfFactor = statement<CredentialRow, { userId: string; factorId: string }>(
  'credential_of_factor',
  `select ${columns} from ${tables} where c.user_id = :userId and c.factor_id = :factorId`,
);

const readById = statement<CredentialRow, { projectId: string; userId: string; credentialId: Buffer }>(
  'credential_by_id',
  `select ${columns} from ${tables}
   where c.project_id = :projectId and c.user_id = :userId and c.credential_id = :credentialId`,
);

const readAll = statement<CredentialRow, { userId: string }>(
  'credentials_of_user',
  `select ${columns} from factors f join webauthn_credentials c on c.user_id = :userId and c.factor_id = f.id
   where f.user_id = :userId order by f.id`,
);

type Reader = Autocommit | EntityManager;

/** The credential of a factor of the user. Undefined before the factor was verified. */
export async function credentialOfFactor(
  on: Reader,
  userId: string,
  factorId: string,
): Promise<CredentialRow | undefined> {
  const [row] = await readOfFactor(on, { userId, factorId });
  return row;
}

/** The credential with this id, if it is the user's. */
export async function findCredential(
  on: Reader,
  named: { projectId: string; userId: string; credentialId: Buffer },
): Promise<CredentialRow | undefined> {
  const [row] = await readById(on, named);
  return row;
}

/** The credentials of a user for one use, oldest first. */
export async function credentialsOf(on: Reader, userId: string, use: Use): Promise<CredentialRow[]> {
  return (await readAll(on, { userId })).filter((each) => each.use === use);
}

/** Stores the credential of a factor. Throws AUTHENTICATOR_ALREADY_REGISTERED when any user of the project has it. */
export async function storeCredential(
  em: EntityManager,
  owner: { factorId: string; projectId: string; userId: string },
  { userVerified: _, ...created }: CreatedCredential,
): Promise<void> {
  const isNew = await insertIfFree(em, Object.assign(new WebauthnCredential(), owner, created));
  if (!isNew) throw new Refusal('AUTHENTICATOR_ALREADY_REGISTERED');
}

interface RecordedUse {
  readonly userId: string;
  readonly factorId: string;
  readonly signCount: number;
  readonly backedUp: boolean;
}

// A synced credential has a counter on each device, or none.
const recordUse = statement<{ factorId: string }, RecordedUse>(
  'credential_use',
  `update webauthn_credentials c set sign_count = :signCount, backed_up = :backedUp
   where c.user_id = :userId and c.factor_id = :factorId
     and (c.backup_eligible or c.sign_count < :signCount or (c.sign_count = 0 and :signCount = 0))
   returning c.factor_id as "factorId"`,
);

/**
 * Stores what an authenticator has said with a signature. False when the counter of a device-bound credential has not grown:
 * a copy of its key may exist (WebAuthn Level 3, section 6.1.1). Of parallel calls with one counter, one returns true.
 */
export async function useCredential(
  em: EntityManager,
  { userId, factorId }: { userId: string; factorId: string },
  { signCount, backedUp }: Signed,
): Promise<boolean> {
  return (await recordUse(em, { userId, factorId, signCount, backedUp })).length === 1;
}
