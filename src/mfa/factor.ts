import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { projectColumn } from '../project/project.ts';
import { User } from '../user/user.ts';

export type FactorType = 'totp' | 'webauthn' | 'recovery_code' | 'passkey';

const FactorTable = defineEntity({
  name: 'Factor',
  tableName: 'factors',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id'),
    type: p.string().length(16).$type<FactorType>(),
    friendlyName: p.string().length(100),
    /** Of a TOTP factor, sealed under the master key. */
    secretSealed: p.blob().hidden().nullable(),
    /** The last time step whose code was used, so that no code works twice (RFC 6238, section 5.2). */
    lastStep: p.integer().nullable(),
    verifiedAt: p.datetime(3).nullable(),
    createdAt: p.datetime(3),
    lastUsedAt: p.datetime(3).nullable(),
  },
  indexes: [{ name: 'factors_of_user', properties: ['userId', 'id'] }],
});

export interface FactorDraft {
  readonly id: string;
  readonly projectId: string;
  readonly userId: string;
  readonly type: FactorType;
  readonly friendlyName: string;
  readonly secretSealed?: Buffer;
  /** Recovery codes count at once. */
  readonly verifiedAt?: Date;
}

/** Something that a user has, with which they can raise a session. */
export class Factor extends FactorTable.class {
  static enroll(draft: FactorDraft, now: Date): Factor {
    return Object.assign(new Factor(), draft, { createdAt: now });
  }

  static newId(now: Date): string {
    return uuidv7(now);
  }
}
FactorTable.setClass(Factor);

/** A factor's row. */
export interface FactorRow {
  readonly id: string;
  readonly projectId: string;
  readonly userId: string;
  readonly type: FactorType;
  readonly friendlyName: string;
  readonly secretSealed: Buffer | null;
  readonly lastStep: number | null;
  readonly verifiedAt: Date | null;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  /** Of the factor that stands for recovery codes. */
  readonly remainingCodes: number;
}

/**
 * SQL: the unused recovery codes of the factor `f`, 0 for other factors. `users` names their users, where a parameter does.
 */
export const remainingCodesOf = (f: string, users = `${f}.user_id`) => `case when ${f}.type = 'recovery_code' then (
       select count(*) from recovery_codes c where c.user_id = ${users} and c.factor_id = ${f}.id and c.used_at is null)::int
     else 0 end`;

/** What the methods show of a factor. */
export type ShownFactor = Pick<
  FactorRow,
  'id' | 'type' | 'friendlyName' | 'verifiedAt' | 'createdAt' | 'lastUsedAt' | 'remainingCodes'
>;

/** SQL: all factors and passkeys of a user as JSON, oldest first. */
export const shownFactorsOf = (userId: string): string =>
  `coalesce((select json_agg(json_build_object('id', f.id, 'type', f.type, 'friendlyName', f.friendly_name,
       'verifiedAt', f.verified_at, 'createdAt', f.created_at, 'lastUsedAt', f.last_used_at,
       'remainingCodes', ${remainingCodesOf('f', userId)}) order by f.id)
     from factors f where f.user_id = ${userId}), '[]')`;

/** SQL: the columns of the factors `f` of the user that a parameter names. */
const columns = `f.id, f.project_id as "projectId", f.user_id as "userId", f.type, f.friendly_name as "friendlyName",
     f.secret_sealed as "secretSealed", f.last_step as "lastStep", f.verified_at as "verifiedAt",
     f.created_at as "createdAt", f.last_used_at as "lastUsedAt",
     ${remainingCodesOf('f', ':userId')} as "remainingCodes"`;

const readOne = statement<FactorRow, { userId: string; id: string }>(
  'factor_read',
  `select ${columns} from factors f where f.user_id = :userId and f.id = :id`,
);

const readAll = statement<FactorRow, { userId: string }>(
  'factors_of_user',
  `select ${columns} from factors f where f.user_id = :userId order by f.id`,
);

/** A factor of the user, in whatever state. */
export async function findFactor(
  on: Autocommit | EntityManager,
  userId: string,
  id: string,
): Promise<FactorRow | undefined> {
  const [row] = await readOne(on, { userId, id });
  return row && withTimes(row);
}

/** All factors and passkeys of a user, oldest first. There are few. */
export async function factorsOf(on: Autocommit | EntityManager, userId: string): Promise<FactorRow[]> {
  return (await readAll(on, { userId })).map(withTimes);
}

/** Whether a session can be raised with the factor. */
export function isUsable({
  verifiedAt,
  type,
  remainingCodes,
}: Pick<FactorRow, 'verifiedAt' | 'type' | 'remainingCodes'>): boolean {
  return verifiedAt !== null && (type !== 'recovery_code' || remainingCodes > 0);
}

/** Whether the factor is one of those that make the methods ask for AAL2: recovery codes only stand in for another. */
export function counts(type: FactorType): boolean {
  return type === 'totp' || type === 'webauthn';
}

const remove = statement<{ id: string }, { userId: string; ids: readonly string[] }>(
  'factors_delete',
  'delete from factors f where f.user_id = :userId and f.id = any(:ids::uuid[]) returning f.id',
);

const rename = statement<{ id: string }, { userId: string; id: string; friendlyName: string }>(
  'factor_rename',
  'update factors f set friendly_name = :friendlyName where f.user_id = :userId and f.id = :id returning f.id',
);

/** The caller holds the lock of the user's row. */
export async function renameFactor(em: EntityManager, userId: string, id: string, friendlyName: string): Promise<void> {
  await rename(em, { userId, id, friendlyName });
}

/** Deletes factors with their codes and credentials. The caller keeps the count in the user's row. */
export async function deleteFactors(em: EntityManager, userId: string, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await remove(em, { userId, ids });
}

const verify = statement<{ wasVerified: boolean }, { userId: string; id: string; step: number | null; now: Date }>(
  'factor_verify',
  `update factors f set verified_at = coalesce(f.verified_at, :now), last_used_at = :now,
     last_step = coalesce(:step::int, f.last_step)
   from (select id, verified_at from factors where user_id = :userId and id = :id for update) old
   where f.user_id = :userId and f.id = old.id and (:step::int is null or f.last_step is null or f.last_step < :step)
   returning old.verified_at is not null as "wasVerified"`,
);

/**
 * Records that a factor was verified, with the time step of its code. Undefined when the step, or a later one, was used
 * already: of parallel calls with one code, one is recorded.
 */
export async function recordVerified(
  em: EntityManager,
  { userId, id, step }: { userId: string; id: string; step: number | null },
  now: Date,
): Promise<{ readonly wasVerified: boolean } | undefined> {
  const [row] = await verify(em, { userId, id, step, now });
  return row;
}

/** JSON, and the ORM's connection in a transaction, return times as texts. */
export function withTimes<Row extends Pick<FactorRow, 'createdAt' | 'verifiedAt' | 'lastUsedAt'>>(row: Row): Row {
  const { verifiedAt, createdAt, lastUsedAt } = row;
  return {
    ...row,
    createdAt: new Date(createdAt),
    verifiedAt: verifiedAt && new Date(verifiedAt),
    lastUsedAt: lastUsedAt && new Date(lastUsedAt),
  };
}
