// @serializable
import { createHash } from 'node:crypto';
import type { MikroORM } from '@mikro-orm/postgresql';
import { expect, onTestFinished, test } from 'vitest';
import { type MasterKey, MasterKeys } from '../../src/crypto/master-keys.ts';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { transact } from '../../src/database/transaction.ts';
import { sweep } from '../../src/jobs/janitor.ts';
import { MailedCodes } from '../../src/one-time/code.ts';
import { issue, type OneTimeDraft } from '../../src/one-time/issue.ts';
import { mintOneTimeValue, type OneTimeKind, readOneTimeValue } from '../../src/one-time/secret.ts';
import { consume, look, voidFor } from '../../src/one-time/token.ts';
import { defaultProjectId as projectId } from '../../src/project/project.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { crowd, together } from '../support/race.ts';

const noon = new Date('2026-06-01T12:00:00Z');
const ada = '019a0000-0000-7000-8000-00000000000a';
const bob = '019a0000-0000-7000-8000-00000000000b';
const kinds: readonly OneTimeKind[] = ['email_verification', 'password_reset', 'email_change', 'magic_link'];

const after = (seconds: number) => new Date(noon.getTime() + seconds * 1000);

async function prepare(): Promise<{ database: TestDatabase; orm: MikroORM }> {
  const database = await createDatabase();
  const orm = await openOrm(database.url, { poolSize: 20 });
  onTestFinished(() => orm.close(true));
  for (const [id, name] of [
    [ada, 'ada'],
    [bob, 'bob'],
  ])
    await database.query(
      `insert into users (id, project_id, email, email_key, app_metadata, user_metadata, created_at, updated_at)
       values ($1, $2, $3, $3, '{}', '{}', now(), now())`,
      [id, projectId, `${name}@example.org`],
    );
  return { database, orm };
}

const forAda: OneTimeDraft = {
  ...{ projectId, userId: ada, kind: 'password_reset', target: 'ada@example.org', lifetime: 3600 },
};

function ways(orm: MikroORM) {
  return {
    issue: (draft: Partial<OneTimeDraft> = {}, now = noon) =>
      transact(orm, (em) => issue(em, { ...forAda, ...draft }, now)),
    consume: (kind: OneTimeKind, raw: string, now = noon) =>
      transact(orm, (em) => consume(em, kind, { projectId, raw }, now)),
    look: (kind: OneTimeKind, raw: string, now = noon) => look(new Autocommit(orm), kind, { projectId, raw }, now),
  };
}

test('a value works once and for its kind only, and looking at it does not use it', async () => {
  const { orm } = await prepare();
  const { issue, consume, look } = ways(orm);
  const { raw } = await issue();
  for (const kind of kinds.filter((each) => each !== 'password_reset')) {
    expect(await consume(kind, raw), kind).toBeUndefined();
    expect(await look(kind, raw), kind).toBeUndefined();
  }
  for (let i = 0; i < 2; i++) expect(await look('password_reset', raw)).toMatchObject({ user_id: ada, is_good: true });
  expect(await consume('password_reset', raw)).toEqual({ flow: null, user_id: ada, target: 'ada@example.org' });
  expect(await consume('password_reset', raw)).toBeUndefined();
  expect(await look('password_reset', raw)).toMatchObject({ is_good: false });
});

test('of twenty calls with one value, one uses it', async () => {
  const { orm, database } = await prepare();
  const { issue, consume } = ways(orm);
  const { raw } = await issue();
  const { answers } = await together(() => consume('password_reset', raw));
  expect(answers.filter((each) => each !== undefined)).toHaveLength(1);
  expect(answers).toHaveLength(crowd);
  const used = await database.query('select 1 from one_time_tokens where used_at is not null');
  expect(used).toHaveLength(1);
});

test('of twenty values of one kind that are issued at once to one user, one can be used', async () => {
  const { orm, database } = await prepare();
  const { issue, look } = ways(orm);
  const { answers } = await together(() => issue());
  const seen = await Promise.all(answers.map(({ raw }) => look('password_reset', raw)));
  expect(seen.filter((each) => each?.is_good)).toHaveLength(1);
  const open = await database.query('select 1 from one_time_tokens where used_at is null and voided_at is null');
  expect(open).toHaveLength(1);
});

test('a newer value voids the older one of its kind and user, and no other', async () => {
  const { orm } = await prepare();
  const { issue, look } = ways(orm);
  const old = await issue();
  const other = await issue({ kind: 'magic_link' });
  const bobs = await issue({ userId: bob, target: 'bob@example.org' });
  const fresh = await issue();
  const isGood = async (kind: OneTimeKind, { raw }: { raw: string }) => (await look(kind, raw))?.is_good;
  expect(await isGood('password_reset', old)).toBe(false);
  for (const [kind, value] of [
    ['magic_link', other],
    ['password_reset', bobs],
    ['password_reset', fresh],
  ] as const)
    expect(await isGood(kind, value)).toBe(true);
});

test('the second value of a mail is issued only if the first one was, to the same user', async () => {
  const { orm } = await prepare();
  const { issue, look } = ways(orm);
  const first = await issue({ kind: 'email_verification' });
  const bobs = await issue({ kind: 'email_verification', userId: bob, target: 'bob@example.org' });
  const kind = 'registration_rejection';
  const second = async (firstId: string) => look(kind, (await issue({ kind, firstId })).raw);
  expect(await second('01900000-0000-7000-8000-000000000001')).toBeUndefined();
  expect(await second(bobs.id)).toBeUndefined();
  expect(await second(first.id)).toMatchObject({ user_id: ada, is_good: true });
});

test('voidFor voids the values of the named kinds, or of all kinds, of that user only', async () => {
  const { orm } = await prepare();
  const { issue, look } = ways(orm);
  const values = await Promise.all(kinds.map(async (kind) => [kind, await issue({ kind })] as const));
  const bobs = await issue({ userId: bob, target: 'bob@example.org' });
  const good = async () => {
    const seen = await Promise.all(values.map(([kind, { raw }]) => look(kind, raw)));
    return kinds.filter((_, index) => seen[index]!.is_good);
  };
  await transact(orm, (em) => voidFor(em, ada, noon, ['password_reset', 'magic_link']));
  expect(await good()).toEqual(['email_verification', 'email_change']);
  await transact(orm, (em) => voidFor(em, ada, noon));
  expect(await good()).toEqual([]);
  expect((await look('password_reset', bobs.raw))!.is_good).toBe(true);
});

test('a value whose mail was not sent expires after a day, without the janitor', async () => {
  const { orm, database } = await prepare();
  const { issue, consume, look } = ways(orm);
  const { raw } = await issue();
  const day = 24 * 3600;
  expect((await look('password_reset', raw, after(day - 1)))!.is_good).toBe(true);
  expect((await look('password_reset', raw, after(day)))!.is_good).toBe(false);
  expect(await consume('password_reset', raw, after(day))).toBeUndefined();
  const [row] = await database.query('select used_at from one_time_tokens');
  expect(row).toEqual({ used_at: null });
});

test.each<[what: string, sql: string]>([
  ['was deleted', `update users set deleted_at = '2026-01-01'`],
  ['is banned', `update users set banned_until = '2030-01-01'`],
  ['has another address by now', `update users set email_key = 'other-' || id`],
])('a value cannot be used by a user who %s', async (_, sql) => {
  const { orm, database } = await prepare();
  const { issue, consume, look } = ways(orm);
  const { raw } = await issue();
  await database.query(sql);
  expect((await look('password_reset', raw))!.is_good).toBe(false);
  expect(await consume('password_reset', raw)).toBeUndefined();
});

test('a value cannot be used in the name of another user or in another project', async () => {
  const { orm } = await prepare();
  const { issue, consume, look } = ways(orm);
  const { raw } = await issue();
  const bytes = Buffer.from(raw.slice(5), 'base64url');
  const inBobsName = Buffer.concat([Buffer.from(bob.replaceAll('-', ''), 'hex'), bytes.subarray(16)]);
  const forged = `ghot_${inBobsName.toString('base64url')}`;
  expect(await look('password_reset', forged)).toBeUndefined();
  expect(await consume('password_reset', forged)).toBeUndefined();
  // The address of an email_change is not compared with the user's.
  const change = await issue({ kind: 'email_change' });
  const { hash } = readOneTimeValue(projectId, 'email_change', change.raw)!;
  const inTheNameOf = (userId: string) =>
    transact(orm, (em) => consume_(em, { projectId, userId, hash }, 'email_change'));
  expect(await inTheNameOf(bob)).toBeUndefined();
  expect(await inTheNameOf(ada)).toBeDefined();
  const elsewhere = { projectId: '019a0000-0000-7000-8000-00000000000c', raw };
  expect(await transact(orm, (em) => consume_(em, elsewhere))).toBeUndefined();
  expect(await consume('password_reset', raw)).toBeDefined();
});

const consume_ = (
  em: Parameters<typeof consume>[0],
  value: Parameters<typeof consume>[2],
  kind: OneTimeKind = 'password_reset',
) => consume(em, kind, value, noon);

test('unknown and deleted users are issued nothing, with the same number of statements', async () => {
  const { orm, database } = await prepare();
  const { issue } = ways(orm);
  await issue({ userId: '00000000-0000-0000-0000-000000000000' });
  await database.query(`update users set deleted_at = now() where id = $1`, [bob]);
  await issue({ userId: bob });
  expect(await database.query('select 1 from one_time_tokens')).toEqual([]);
});

test('values name their user before 208 random bits, never repeat, and are stored as a hash only', async () => {
  const { orm, database } = await prepare();
  const { raw } = await ways(orm).issue();
  expect(raw).toMatch(/^ghot_[\w-]{56}$/);
  expect(readOneTimeValue(projectId, 'magic_link', raw)!.userId).toBe(ada);
  const dump = await database.dump();
  for (const spelling of [raw, raw.slice(5), Buffer.from(raw).toString('hex')]) expect(dump).not.toContain(spelling);
  const many = new Set(Array.from({ length: 100_000 }, () => mintOneTimeValue(ada).slice(5 + 24)));
  expect(many.size).toBe(100_000);
  const counts = new Map<string, number>();
  for (const each of [...many].slice(0, 10_000))
    for (const letter of each.slice(0, -1)) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  expect(counts.size).toBe(64);
  // Five standard deviations of a fair die with 64 faces.
  const mean = (10_000 * 31) / 64;
  for (const count of counts.values()) expect(Math.abs(count - mean)).toBeLessThan(5 * Math.sqrt(mean));
  // The end of a link: mail programs leave punctuation out there.
  expect(new Set([...many].map((each) => each.at(-1))).size).toBe(62);
});

test('only texts of the minted form are looked up, and a value has another hash for each kind', () => {
  const raw = mintOneTimeValue(ada);
  for (const garbage of ['', 'x', 'ghot_', `${raw}A`, raw.slice(0, -1), ` ${raw}`, raw.toUpperCase(), `ghr_${raw}`])
    expect(readOneTimeValue(projectId, 'magic_link', garbage)).toBeUndefined();
  const hashes = new Set(kinds.map((kind) => readOneTimeValue(projectId, kind, raw)!.hash.toString('hex')));
  expect(hashes.size).toBe(kinds.length);
});

test('a code is accepted under the master key that it was minted with only, also after a newer key became the first', async () => {
  const { orm } = await prepare();
  const [old, newer] = ['old', 'newer'].map((id) => ({ id, key: createHash('sha256').update(id).digest() })) as [
    MasterKey,
    MasterKey,
  ];
  const asked = { projectId, kind: 'magic_link', target: 'ada@example.org', clientNonce: 'n'.repeat(22) } as const;
  const { raw: code, ...hashes } = new MailedCodes(new MasterKeys([old])).mint(asked);
  await ways(orm).issue({ kind: 'magic_link', ...hashes });
  const tryUnder = (...keys: MasterKey[]) =>
    new MailedCodes(new MasterKeys(keys)).try(new Autocommit(orm), ada, { ...asked, code }, noon);
  expect(await tryUnder(newer)).toEqual({ value: undefined });
  expect(await tryUnder(newer, old)).toEqual({ value: { userId: ada, hash: expect.any(Buffer) } });
});

test('codes are six digits, and all digits are equally frequent in every place', () => {
  const codes = new MailedCodes(new MasterKeys([{ id: 'k', key: Buffer.alloc(32, 7) }]));
  const asked = { projectId, kind: 'magic_link', target: '', clientNonce: '' } as const;
  const counts = new Map<string, number>();
  for (let n = 0; n < 20_000; n++) {
    const { raw } = codes.mint(asked);
    expect(raw).toMatch(/^\d{6}$/);
    for (const [place, digit] of [...raw].entries())
      counts.set(`${place} ${digit}`, (counts.get(`${place} ${digit}`) ?? 0) + 1);
  }
  expect(counts.size).toBe(60);
  // Six standard deviations: one run in ten million fails by chance.
  for (const count of counts.values()) expect(Math.abs(count - 2000)).toBeLessThan(6 * Math.sqrt(1800));
});

test('the janitor deletes values a week after they expired, and mails a week after they were sent', async () => {
  const { orm, database } = await prepare();
  const { issue } = ways(orm);
  await issue();
  await database.query(
    `
    insert into mail_outbox (id, project_id, kind, recipient, locale, state, attempts, created_at, due_at, ended_at)
    values (gen_random_uuid(), '${projectId}', 'verification', '', '', 'sent', 1, $1, $1, $1)`,
    [noon],
  );
  const rows = async () => [
    ...(await database.query('select 1 from one_time_tokens')),
    ...(await database.query('select 1 from mail_outbox')),
  ];
  const day = 24 * 3600;
  await sweep(orm, after(7 * day - 1));
  expect(await rows()).toHaveLength(2);
  await sweep(orm, after(8 * day + 1));
  expect(await rows()).toHaveLength(0);
});
