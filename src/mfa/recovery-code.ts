import { createHash, randomBytes } from 'node:crypto';
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import { insertRows, rowOf } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { projectColumn } from '../project/project.ts';
import { Factor } from './factor.ts';

const RecoveryCodeTable = defineEntity({
  name: 'RecoveryCode',
  tableName: 'recovery_codes',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    userId: p.uuid(),
    factorId: () => p.manyToOne(Factor).mapToPk().fieldName('factor_id').deleteRule('cascade'),
    hash: p.blob().hidden(),
    createdAt: p.datetime(3),
    usedAt: p.datetime(3).nullable(),
  },
  uniques: [{ name: 'recovery_codes_hash', properties: ['projectId', 'userId', 'hash'] }],
  indexes: [{ name: 'recovery_codes_of_factor', properties: ['factorId'] }],
});

/** A code that stands in for a lost factor, once. */
export class RecoveryCode extends RecoveryCodeTable.class {}
RecoveryCodeTable.setClass(RecoveryCode);

/** How many codes a set has. */
const setSize = 10;
/** Crockford's base 32: without I, L, O and U. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const length = 20;

/** New codes of 100 random bits, in groups of five characters. */
export function newRecoveryCodes(): string[] {
  return Array.from({ length: setSize }, () => {
    const characters = [...randomBytes(length)].map((byte) => alphabet[byte % 32]!).join('');
    return characters.match(/.{5}/g)!.join('-');
  });
}

/** A code as a person may type it: any case, with or without separators, letters that look like a digit. */
function canonical(typed: string): string | undefined {
  const plain = typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  return plain.length === length && [...plain].every((each) => alphabet.includes(each)) ? plain : undefined;
}

// 100 random bits cannot be searched, so no key is needed, and none can be lost.
function hashOf(userId: string, code: string): Buffer {
  return createHash('sha256').update(`gatehouse recovery code ${userId} ${code}`).digest();
}

const spend = statement<{ id: string }, { userId: string; factorId: string; hash: Buffer; now: Date }>(
  'recovery_code_spend',
  `update recovery_codes c set used_at = :now
   where c.user_id = :userId and c.factor_id = :factorId and c.hash = :hash and c.used_at is null returning c.id`,
);

const look = statement<{ id: string }, { userId: string; factorId: string; hash: Buffer }>(
  'recovery_code_look',
  `select c.id from recovery_codes c
   where c.user_id = :userId and c.factor_id = :factorId and c.hash = :hash and c.used_at is null`,
);

interface Owned {
  readonly userId: string;
  readonly factorId: string;
}

type Reader = Parameters<typeof look>[0];

/** Whether the code could be used now. Only `spendRecoveryCode` uses it. */
export async function isRecoveryCode(on: Reader, { userId, factorId }: Owned, typed: string): Promise<boolean> {
  const code = canonical(typed);
  return code !== undefined && (await look(on, { userId, factorId, hash: hashOf(userId, code) })).length === 1;
}

/** Uses a code up. Of parallel calls with one code, one returns true. */
export async function spendRecoveryCode(
  em: EntityManager,
  { userId, factorId }: Owned,
  typed: string,
  now: Date,
): Promise<boolean> {
  const code = canonical(typed);
  if (code === undefined) return false;
  return (await spend(em, { userId, factorId, hash: hashOf(userId, code), now })).length === 1;
}

const insertSet = statement<{ id: string }, { rows: string }>(
  'recovery_codes_insert',
  `${insertRows(RecoveryCode, ':rows')} returning id`,
);

/** Stores a set of codes for a new factor. */
export async function storeRecoveryCodes(
  em: EntityManager,
  { id: factorId, projectId, userId }: { id: string; projectId: string; userId: string },
  codes: readonly string[],
  now: Date,
): Promise<void> {
  const rows = codes.map((code) => {
    const hash = hashOf(userId, canonical(code)!);
    const row = { id: uuidv7(now), projectId, userId, factorId, hash, createdAt: now };
    return rowOf(Object.assign(new RecoveryCode(), row));
  });
  await insertSet(em, { rows: `[${rows.join(',')}]` });
}
