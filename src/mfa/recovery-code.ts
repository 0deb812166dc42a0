import { createHash, randomBytes } from 'node:crypto';
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
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

const importPurpose = 'imported recovery code';

/** What the MAC of an imported code is computed of. Other systems have codes of other lengths and alphabets. */
function described(userId: string, code: string): string {
  return `${userId} ${code.toLowerCase().replace(/[\s-]/g, '')}`;
}

/**
 * What a typed code may be stored as. Codes of other systems have as few as 40 random bits: with a plain hash, a copy of
 * the database would reveal them. So they are stored as MACs.
 */
function hashesOf(keys: MasterKeys, userId: string, typed: string): Buffer[] {
  const code = canonical(typed);
  const own = code === undefined ? [] : [hashOf(userId, code)];
  return [...own, ...keys.macs(importPurpose, described(userId, typed))];
}

interface Spent {
  readonly userId: string;
  readonly factorId: string;
  readonly hashes: readonly Buffer[];
  readonly now: Date;
}

const spend = statement<{ id: string }, Spent>(
  'recovery_code_spend',
  `update recovery_codes c set used_at = :now
   where c.user_id = :userId and c.factor_id = :factorId and c.hash = any(:hashes::bytea[]) and c.used_at is null
   returning c.id`,
);

const look = statement<{ id: string }, Omit<Spent, 'now'>>(
  'recovery_code_look',
  `select c.id from recovery_codes c
   where c.user_id = :userId and c.factor_id = :factorId and c.hash = any(:hashes::bytea[]) and c.used_at is null`,
);

interface Owned {
  readonly userId: string;
  readonly factorId: string;
}

type Reader = Parameters<typeof look>[0];

/** Whether the code could be used now. Only `spendRecoveryCode` uses it. */
export async function isRecoveryCode(
  on: Reader,
  keys: MasterKeys,
  { userId, factorId }: Owned,
  typed: string,
): Promise<boolean> {
  return (await look(on, { userId, factorId, hashes: hashesOf(keys, userId, typed) })).length === 1;
}

/** Uses a code up. Of parallel calls with one code, one returns true. */
export async function spendRecoveryCode(
  em: EntityManager,
  keys: MasterKeys,
  { userId, factorId }: Owned,
  typed: string,
  now: Date,
): Promise<boolean> {
  return (await spend(em, { userId, factorId, hashes: hashesOf(keys, userId, typed), now })).length === 1;
}

interface Owner {
  readonly id: string;
  readonly projectId: string;
  readonly userId: string;
}

/** The rows of codes that another system has created, for a factor of their own. */
export function importedCodes(keys: MasterKeys, owner: Owner, codes: readonly string[], now: Date): RecoveryCode[] {
  const texts = new Set(codes.map((code) => described(owner.userId, code)));
  return [...texts].map((each) => rowFor(owner, keys.mac(importPurpose, each), now));
}

function rowFor({ id: factorId, projectId, userId }: Owner, hash: Buffer, now: Date): RecoveryCode {
  return Object.assign(new RecoveryCode(), { id: uuidv7(now), projectId, userId, factorId, hash, createdAt: now });
}

const insertSet = statement<{ id: string }, { rows: string }>(
  'recovery_codes_insert',
  `${insertRows(RecoveryCode, ':rows')} returning id`,
);

/** Stores a set of codes for a new factor. */
export async function storeRecoveryCodes(
  em: EntityManager,
  owner: Owner,
  codes: readonly string[],
  now: Date,
): Promise<void> {
  const rows = codes.map((code) => rowOf(rowFor(owner, hashOf(owner.userId, canonical(code)!), now)));
  await insertSet(em, { rows: `[${rows.join(',')}]` });
}
