import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { SqlLexer } from '../../src/cli/import/sql-lexer.ts';
import { registerElsewhere, runImport, written, wrongFactorCounts } from '../support/foreign-dumps.ts';
import { importing, refusalsIn } from '../support/importing.ts';
import { ada, asService, bob, testEnv } from '../support/people.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { start } from '../support/start.ts';

const id = (n: number) => `7e7e7e7e-0000-4000-8000-${String(n).padStart(12, '0')}`;
const columns = 'id, email, raw_user_meta_data, created_at';
const header = `COPY auth.users (${columns}) FROM stdin;\n`;
const end = '\\.\n';
const time = '2024-01-15 10:30:00+00';
const row = (n: number, email: string, metadata = '{}', at = time) => `${id(n)}\t${email}\t${metadata}\t${at}\n`;

test('rows that are damaged are refused by line, and all others are imported', async () => {
  const service = await start();
  const rows: [row: string | Buffer, reason?: string][] = [
    [row(1, ada.email)],
    [Buffer.from(row(2, 'x@example.org', '{"a": "\xff"}'), 'latin1'), 'not UTF-8'],
    [row(3, 'x@example.org', JSON.stringify({ a: 'x'.repeat(1_100_000) })), 'longer than 1 MiB'],
    [`${id(4)}\tx@example.org\n`, '2 values for 4 columns'],
    [row(5, 'ADA@example.org'), 'email: an earlier line has it'],
    [row(6, 'ädä@example.org'), 'email: Invalid email address'],
    [`not-a-uuid\tx@example.org\t{}\t${time}\n`, 'id: Invalid GUID'],
    [`00000000-0000-0000-0000-000000000000\tx@example.org\t{}\t${time}\n`, 'id: the nil UUID'],
    [row(1, 'other@example.org'), 'id: an earlier line has it'],
    [row(7, bob.email, '{"full_name": "B\u202eob"}')],
  ];
  const factors = `COPY auth.mfa_factors (user_id, secret) FROM stdin;\nx\n${end}`;
  const { dump } = written({
    dump: Buffer.concat([header, ...rows.map(([each]) => each), end, factors].map((each) => Buffer.from(each))),
  });
  const ended = await runImport(service, ['--from', 'supabase', dump!]);
  expect(ended).toMatchObject({ code: 1, stdout: '10 users: 2 users created, 0 already existed, 9 refused\n' });
  expect(ended.stderr).toContain(`9 users were refused; ${dump}.refused.jsonl has their numbers and reasons`);
  const expected = rows.flatMap(([, reason], index) => (reason ? [{ line: index + 2, reason }] : []));
  expected.push({ line: 14, reason: 'mfa_factors: 1 value for 2 columns' });
  const entries = refusalsIn(`${dump}.refused.jsonl`).sort((a, b) => a.line - b.line);
  expect(entries).toEqual(expected.map((each) => ({ ...each, advice: expect.stringMatching(/./) })));
  expect(entries.map(({ advice }) => advice)).toContain(
    'one address is one user here: merge both users in the old system, or change an address, and import again',
  );
  const names = await service.database.query('select name from users order by email');
  expect(names).toEqual([{ name: '' }, { name: 'Bob' }]);
});

test('an invalid part of a user is left out with its reason, and the user is imported without it', async () => {
  const service = await start();
  const dump = [
    'COPY auth.mfa_factors (user_id, factor_type, status, friendly_name, secret) FROM stdin;\n',
    `${id(1)}\ttotp\tverified\ta\u202eb\tJBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n`,
    `${id(1)}\ttotp\tverified\tshort\tJBSWY3DP\n`,
    `${id(1)}\ttotp\tverified\twrong\tnot base32!\n`,
    end,
    'COPY auth.identities (user_id, provider, provider_id, identity_data) FROM stdin;\n',
    `${id(1)}\tgithub\t583231\t{"email": "not an address"}\n`,
    `${id(1)}\tgithub\t${'9'.repeat(300)}\t{}\n`,
    `${id(1)}\tNot A Provider\t1\t{}\n`,
    `${id(2)}\tgithub\t583232\t{}\n`,
    `${id(1)}\tgithub\t583232\tnot JSON\n`,
    end,
    header,
    row(1, ada.email, '{"constructor": {}}', 'yesterday'),
    row(2, bob.email, '[]', '1815-12-10 00:00:00+00'),
    end,
  ];
  const files = written({ dump: dump.join('') });
  const ended = await runImport(service, ['--from', 'supabase', files.dump!]);
  expect(ended.code).toBe(0);
  expect(ended.stdout).toContain('2 users: 2 users created, 0 already existed, 0 refused\n');
  const entries = refusalsIn(`${files.dump}.refused.jsonl`).map(({ line, left, why }) => `${line} ${left}: ${why}`);
  const reasons = entries.filter((each) => !each.includes('identity of another user'));
  // Either of the two has it.
  expect(entries.length - reasons.length).toBe(1);
  expect(reasons.sort()).toEqual([
    '14 TOTP secret: totp.1.secret: not 10 to 128 bytes',
    '14 TOTP secret: totp.2.secret: not base32',
    '14 field: user_metadata a key is not allowed: __proto__, constructor or prototype',
    '14 identity: identities.1.subject: Too big: expected string to have <=255 characters',
    '15 field: created_at: not between 1970 and now',
    '15 field: raw_user_meta_data: not a JSON object',
    '9 identity: its provider has a name that is not possible here',
  ]);
  expect(await wrongFactorCounts(service)).toEqual([]);
  const [factor] = await service.database.query('select friendly_name from factors');
  expect(factor).toEqual({ friendly_name: 'ab' });
  const identities = await service.database.query('select subject, email from identities order by subject');
  expect(identities).toEqual([
    { subject: '583231', email: null },
    { subject: '583232', email: null },
  ]);
});

test('a security key that another user has is left out, and the counts of factors agree', async () => {
  const service = await start();
  const key = registerElsewhere(new SoftwareAuthenticator(), Buffer.from(id(1)));
  const credential = {
    ...{ credential_id: key.id.toString('base64url'), public_key: key.public_key.toString('base64url') },
    ...{ sign_count: 0, backup_eligible: false, backed_up: false },
  };
  const totp = [{ secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP' }];
  const lines = [
    { id: id(1), email: ada.email, security_keys: [credential], recovery_codes: ['abcd1234'] },
    { id: id(2), email: bob.email, security_keys: [credential], totp },
    { id: id(3), email: 'carol@example.org', recovery_codes: ['abcd1234'] },
    { id: id(4), email: 'dora@example.org', totp: Array(11).fill(totp[0]) },
    { id: id(5), email: 'eve@example.org', security_keys: [{ ...credential, public_key: 'cGsx' }] },
    { id: id(6), email: 'finn@example.org', security_keys: [{ ...credential, backed_up: true }] },
  ];
  const { again, report } = importing(service, lines);
  const ended = await again();
  expect(ended.stdout).toBe(
    '6 lines: 2 users created, 0 already existed, 4 refused\n' +
      'Imported with them: 1 TOTP factor, 1 security key, 1 recovery code\n' +
      `Not imported: 1 credential of another user; ${report} has the lines and what can be done\n`,
  );
  expect(refusalsIn(report).filter(({ reason }) => reason)).toEqual([
    { line: 3, reason: 'recovery_codes: without another factor' },
    { line: 4, reason: 'totp: Too big: expected array to have <=10 items' },
    { line: 5, reason: 'security_keys.0.public_key: not a COSE key of ES256, EdDSA or RS256' },
    { line: 6, reason: 'security_keys.0: backed up, but not eligible for it' },
  ]);
  expect(await wrongFactorCounts(service)).toEqual([]);
});

const bcryptHash = '$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy';

test('an identity that another user has is left out, and the user signs in with what is left', async () => {
  const service = await start();
  const google = { provider: 'google', subject: 'ada-at-google' };
  const github = { provider: 'github', subject: 'bob-at-github' };
  const lines = [
    { id: id(1), email: ada.email, identities: [google] },
    { id: id(2), email: bob.email, identities: [google, github] },
    { id: id(3), email: 'carol@example.org', identities: [google] },
    { id: id(4), email: 'dora@example.org', identities: [google], password_hash: bcryptHash },
  ];
  const { again, file } = importing(service, lines);
  expect((await runImport(service, ['--dry-run', file])).stdout).toContain('3 identities of other users');
  expect((await again()).stdout).toContain('3 identities of other users');
  expect(await service.database.query('select providers from users order by id')).toEqual([
    { providers: ['google'] },
    { providers: ['github'] },
    { providers: ['email'] },
    { providers: ['email'] },
  ]);
});

test('a dump that cannot be read whole is refused with a cure, and nothing of it is imported', async () => {
  const service = await start();
  const whole = `${header}${row(1, ada.email)}${end}`;
  const files: [content: string | Buffer, sentence: string][] = [
    ['', 'it has no rows of auth.users'],
    ['hello', 'it ends within a statement'],
    ['PGDMP\u0001', 'it is an archive of pg_dump: make a text of it with pg_restore --data-only --file=users.sql'],
    [Buffer.from(`\ufeff${whole}`, 'utf16le'), 'it is UTF-16'],
    [`${header}${row(1, ada.email)}`, 'it ends within a statement'],
    ["INSERT INTO auth.users VALUES ('a');\n", 'line 1: rows of users without the names of their columns'],
    [`COPY auth.users (${columns}) FROM stdin WITH (FORMAT csv);\n`, 'line 1: COPY of users in a form of its own'],
    ["INSERT INTO auth.users (id) VALUES (E'\\101');\n", 'line 1: a string with numeric escapes'],
    [Buffer.from(`SET x = '\xff';\n${whole}`, 'latin1'), 'line 1 is not UTF-8'],
    [Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0]), 'cannot be read: '],
  ];
  for (const [content, sentence] of files) {
    const { dump } = written({ dump: content });
    const { code, stderr } = await runImport(service, ['--from', 'supabase', dump!]);
    expect(code, sentence).toBe(1);
    expect(stderr).toContain(`${dump} cannot be read: `);
    expect(stderr).toContain(sentence);
  }
  const [users] = await service.database.query('select count(*)::int from users');
  expect(users!.count).toBe(0);
});

test('the command line says what is wrong before anything is opened', async () => {
  const nowhere = { DATABASE_URL: 'postgres://127.0.0.1:1/nowhere', MASTER_KEYS: testEnv.MASTER_KEYS };
  const service = { database: { url: nowhere.DATABASE_URL } } as never;
  const wrong: [args: string[], sentence: string][] = [
    [['--from', 'supabse', 'x'], "there is no system 'supabse'; did you mean 'supabase'?"],
    [['--from', 'supabase', '--from', 'kratos', 'x'], "'--from' can be given once"],
    [['postgres://127.0.0.1/x'], 'a database can be read with --from supabase, --from kratos, --from better-auth'],
    [['--from', 'auth0', 'postgres://127.0.0.1/x'], 'a database can be read with --from supabase'],
    [['--from', 'kratos', '--secrets', 'y', 'x'], "'--secrets' needs --from better-auth or --from auth0"],
  ];
  for (const [args, sentence] of wrong) {
    const ended = await runImport(service, args);
    expect(ended.code, sentence).toBe(2);
    expect(ended.stderr).toContain(sentence);
  }
});

test('a database that lacks the tables, or cannot be reached, is named without its password', async () => {
  const service = await start();
  const empty = await runImport(service, ['--from', 'supabase', service.database.url]);
  expect(empty).toMatchObject({ code: 1 });
  expect(empty.stderr).toContain('the database cannot be read: it has no rows of auth.users');
  const none = await runImport(service, ['--from', 'supabase', 'postgres://ada:hush@127.0.0.1:1/x']);
  expect(none).toMatchObject({ code: 1 });
  expect(none.stderr).toContain('the database cannot be read: ');
  expect(none.stderr).not.toContain('hush');
});

test('a dump is read from stdin, with the tables in any order', async () => {
  const service = await start();
  const main = path.join(import.meta.dirname, '../../src/main.ts');
  const env = { ...process.env, DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS };
  const factor = `COPY auth.mfa_factors (user_id, factor_type, status, secret) FROM stdin;\n${id(1)}\ttotp\tverified\tJBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n${end}`;
  const cwd = mkdtempSync(path.join(tmpdir(), 'gatehouse-import-'));
  const input = `${header}${row(1, ada.email)}${end}${factor}`;
  const { status, stdout } = spawnSync(process.execPath, [main, 'import', '--from', 'supabase', '-'], {
    cwd,
    env,
    input,
  });
  expect(String(stdout)).toContain('1 user: 1 user created');
  expect(String(stdout)).toContain('Imported with them: 1 TOTP factor\n');
  expect(status).toBe(0);
  const { user } = await service.clients('grpc').admin.getUser({ userId: id(1) }, asService);
  expect(user!.email).toBe(ada.email);
});

test.each([
  ["select 'it''s' -- rest\n, 2", "word:select string:it's sign:, number:2"],
  ['/* a /* b */ c */ "a ""name"""', 'name:a "name"'],
  ["$$ 'a' ; $$ $tag$ $$ $tag$ x$1", "string: 'a' ;  string: $$  word:x$1"],
  ["E'a\\'b\\n' 'c\\'", "string:a'b\n string:c\\"],
  ["'two\nlines' -1.5e+3", 'string:two\nlines sign:- number:1.5e+3'],
])('the tokens of %j are %j', (sql, tokens) => {
  const lexer = new SqlLexer();
  const read = sql.split('\n').flatMap((line) => [...lexer.tokens(line)]);
  expect(read.map(({ kind, text }) => `${kind}:${text}`).join(' ')).toBe(tokens);
});
