import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { ada, asService, testEnv } from '../support/people.ts';
import { run } from '../support/process.ts';
import { start } from '../support/start.ts';

const docs = path.join(import.meta.dirname, '../../docs');
const hash = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW';
const passwordOfHash = 'U*U';

/** The example of a line in docs/importing.md. */
function documentedLine(system: string): object {
  const page = readFileSync(path.join(docs, 'importing.md'), 'utf8');
  return JSON.parse(page.match(new RegExp(`<!-- ${system}:line -->\n\`\`\`json\n(.*?)\n\`\`\``, 's'))![1]!);
}

/** Creates the tables of another system with its rows. Returns the lines that psql prints for the SQL of docs/importing. */
async function linesOf(system: string, tables: string): Promise<string> {
  const database = await createDatabase();
  const types = { getTypeParser: () => (text: string) => text };
  const client = new pg.Client({ connectionString: database.url, types: types as never });
  await client.connect();
  onTestFinished(() => client.end());
  // Other systems have tables with names of ours.
  await client.query('create schema exported; set search_path to exported, public');
  await client.query(tables);
  const sql = readFileSync(path.join(docs, `importing/${system}.sql`), 'utf8');
  const results = (await client.query(sql)) as unknown as pg.QueryResult[];
  return results
    .at(-1)!
    .rows.map((row) => `${Object.values(row)}\n`)
    .join('');
}

/** Imports the lines, of which one user remains, and signs in. */
async function expectImported(system: string, lines: string, password: string, id?: string): Promise<void> {
  expect(
    lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual([documentedLine(system)]);
  const service = await start();
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'gatehouse-import-')), 'users.jsonl');
  writeFileSync(file, lines);
  const ended = await run(['import', file], { DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS });
  expect(ended).toMatchObject({ code: 0, stdout: '1 line: 1 user created, 0 already existed, 0 refused\n' });
  const { user } = await service.signIn({ email: ada.email, password });
  expect(user).toMatchObject({ name: 'Ada Lovelace', emailVerified: true, ...(id && { id }) });
  const found = await service.clients('grpc').admin.getUser({ userId: user.id }, asService);
  expect(found.user!.createTime!.seconds).toBe(BigInt(Date.parse('2024-01-15T10:30:00Z') / 1000));
}

test('the identities of Ory Kratos are imported with the SQL of the documentation', async () => {
  const id = '9f425a8d-7efc-4768-8f23-7647a74fdf13';
  const lines = await linesOf(
    'kratos',
    `create table identities (id uuid primary key, traits jsonb not null, state varchar(255) not null default 'active',
       metadata_public jsonb, metadata_admin jsonb, created_at timestamp not null);
     create table identity_credential_types (id uuid primary key, name varchar(32) not null);
     create table identity_credentials (id uuid primary key, config jsonb not null,
       identity_credential_type_id uuid not null, identity_id uuid not null);
     create table identity_verifiable_addresses (id uuid primary key, verified boolean not null, via varchar(16) not null,
       value varchar(400) not null, identity_id uuid not null);
     insert into identities values ('${id}',
       '{"email": "ada@example.org", "name": {"first": "Ada", "last": "Lovelace"}, "company": "Analytical Engines"}',
       'active', '{"plan": "gold"}', '{"secret": "of operators"}', '2024-01-15 10:30:00');
     insert into identities values (gen_random_uuid(), '{"email": "bob@example.org"}', 'inactive', 'null', null, now());
     insert into identities values (gen_random_uuid(), '{"phone": "+49"}', 'active', null, null, now());
     insert into identity_credential_types values ('00000000-0000-4000-8000-000000000001', 'password'),
       ('00000000-0000-4000-8000-000000000002', 'code');
     insert into identity_credentials values
       (gen_random_uuid(), '{"hashed_password": "${hash}"}', '00000000-0000-4000-8000-000000000001', '${id}'),
       (gen_random_uuid(), '{"addresses": []}', '00000000-0000-4000-8000-000000000002', '${id}');
     insert into identity_verifiable_addresses values (gen_random_uuid(), true, 'email', 'ada@example.org', '${id}');`,
  );
  await expectImported('kratos', lines, passwordOfHash, id);
});

test('the users of Supabase Auth are imported with the SQL of the documentation', async () => {
  const id = 'd0714948-a1e6-4ac3-a8bf-7c7bd8ba3fa9';
  const lines = await linesOf(
    'supabase',
    `create schema auth;
     create table auth.users (id uuid primary key, email varchar(255), encrypted_password varchar(255),
       email_confirmed_at timestamptz, raw_app_meta_data jsonb, raw_user_meta_data jsonb, created_at timestamptz,
       phone text, banned_until timestamptz, is_sso_user boolean not null default false, deleted_at timestamptz,
       is_anonymous boolean not null default false);
     insert into auth.users (id, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
       created_at, phone)
     values ('${id}', 'ada@example.org', '${hash}', now(), '{"provider": "email", "providers": ["email"]}',
       '{"full_name": "Ada Lovelace"}', '2024-01-15 12:30:00.123456+02', '491701234567');
     insert into auth.users (id, email, phone, is_anonymous, is_sso_user, deleted_at, banned_until) values
       (gen_random_uuid(), null, '491707654321', false, false, null, null),
       (gen_random_uuid(), '', null, true, false, null, null),
       (gen_random_uuid(), 'sso@example.org', null, false, true, null, null),
       (gen_random_uuid(), 'deleted@example.org', null, false, false, now(), null),
       (gen_random_uuid(), 'banned@example.org', null, false, false, null, now() + interval '1 year');`,
  );
  await expectImported('supabase', lines, passwordOfHash, id);
});

const betterAuthHash =
  '6e1f0a9b3c5d7e8f102132435465768a:831aa11221386538d1494aa32c0fd1c2718148bbbe892d3f598906afcc7fbcbce303ad6f79b33ff6f1444f9a493b1019c1c0d47dca3689e632a482c7647f148e';

test.each([
  ['its own migrations', ['emailVerified', 'createdAt', 'userId', 'providerId', 'isAnonymous']],
  ['Drizzle', ['email_verified', 'created_at', 'user_id', 'provider_id', 'is_anonymous']],
])(
  'the users of Better Auth, with the columns of %s, are imported with the SQL of the documentation',
  async (_, names) => {
    const [verified, createdAt, userId, providerId, isAnonymous] = names.map((name) => `"${name}"`);
    const id = 'jq4nWvJd8zP0mXkE7TgYbR2sLhC9uAfQ';
    const lines = await linesOf(
      'better-auth',
      `create table "user" (id text primary key, name text not null, email text not null unique, ${verified} boolean not null,
       image text, ${createdAt} timestamp not null, banned boolean, ${isAnonymous} boolean);
     create table account (id text primary key, ${userId} text not null, ${providerId} text not null, password text);
     insert into "user" values
       ('${id}', 'Ada Lovelace', 'ada@example.org', true, null, '2024-01-15 10:30:00', false, null),
       ('banned', 'Bob', 'bob@example.org', true, null, now(), true, null),
       ('guest', 'Guest', 'temp@guest.example.org', false, null, now(), null, true);
     insert into account values ('1', '${id}', 'credential', '${betterAuthHash}'), ('2', '${id}', 'github', null);`,
    );
    await expectImported('better-auth', lines, 'a difference engine');
  },
);

test('the users of Auth0 are imported with the script of the documentation', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'gatehouse-auth0-'));
  const written = (name: string, objects: readonly object[]) => {
    writeFileSync(path.join(dir, name), objects.map((each) => `${JSON.stringify(each)}\n`).join(''));
    return path.join(dir, name);
  };
  const created_at = '2024-01-15T10:30:00.123Z';
  const users = written('users.json', [
    {
      ...{ user_id: 'auth0|5dea9f9c82dd7c0e76e4ec93', email: ada.email, email_verified: true, created_at },
      ...{ name: 'Ada Lovelace', app_metadata: { plan: 'gold' }, user_metadata: { theme: 'dark' } },
    },
    { user_id: 'auth0|1', email: 'blocked@example.org', email_verified: true, name: '', created_at, blocked: true },
    { user_id: 'sms|2', phone_number: '+491701234567', created_at },
  ]);
  const passwords = written('passwords.json', [
    {
      ...{ _id: { $oid: '5dea9f9c82dd7c0e76e4ec93' }, email_verified: true, email: ada.email, passwordHash: hash },
      ...{
        password_set_date: { $date: created_at },
        tenant: 'engines',
        connection: 'Username-Password-Authentication',
      },
    },
  ]);
  const script = path.join(docs, 'importing/auth0.mjs');
  const convert = (...files: string[]) => execFileSync(process.execPath, [script, ...files], { encoding: 'utf8' });
  await expectImported('auth0', convert(users, passwords), passwordOfHash);
  const { password_hash: _, ...line } = documentedLine('auth0') as { password_hash: string };
  expect(JSON.parse(convert(users)), 'without the hashes').toEqual(line);
});

test('an id of Auth0 that was chosen by the application is kept when it is a UUID', () => {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'gatehouse-auth0-')), 'users.json');
  const id = '9f425a8d-7efc-4768-8f23-7647a74fdf13';
  writeFileSync(file, JSON.stringify({ user_id: `auth0|${id}`, email: ada.email, name: ada.email }));
  const script = path.join(docs, 'importing/auth0.mjs');
  expect(JSON.parse(execFileSync(process.execPath, [script, file], { encoding: 'utf8' }))).toEqual({
    ...{ id, email: ada.email, app_metadata: { auth0_user_id: `auth0|${id}` } },
  });
});
