import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FactorType } from '../../gen/gatehouse/v1/factor_pb.ts';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { codeOf, verifyCode } from '../support/authenticator.ts';
import {
  dumpOf,
  importedPassword,
  registerElsewhere,
  runImport,
  written,
  wrongFactorCounts,
} from '../support/foreign-dumps.ts';
import { sharedProvider } from '../support/identity-provider.ts';
import { refusalsIn } from '../support/importing.ts';
import { signInWithPasskey, verifyWithDevice } from '../support/passkeys.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start, wires } from '../support/start.ts';

const adaId = 'd0714948-a1e6-4ac3-a8bf-7c7bd8ba3fa9';
const bobId = '6d6b1b6e-27a1-4d2b-9a0c-4f4b8d7c1e02';
const secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';

/** A dump of Supabase Auth in which ada has a passkey and a security key, and both authenticators. */
function dumpWithKeys() {
  const [laptop, key] = [new SoftwareAuthenticator(), new SoftwareAuthenticator()];
  // Its handle is the text of the id.
  const handle = Buffer.from(adaId);
  const credentials = { passkey: registerElsewhere(laptop, handle), key: registerElsewhere(key, handle) };
  return { laptop, key, sql: dumpOf('supabase.sql', credentials) };
}

async function startWithGoogle() {
  const provider = await sharedProvider();
  const env = { OAUTH_PROVIDERS: JSON.stringify({ google: provider.settings() }) };
  return { service: await start({ env }), provider, env };
}

const summary = [
  '7 users: 3 users created, 0 already existed, 0 refused',
  'Imported with them: 1 identity, 1 TOTP factor, 1 security key, 1 passkey',
  'Not imported: 1 phone identity, 1 SMS factor, 1 Microsoft identity, 1 unverified factor, 1 role, 1 encrypted TOTP secret, 1 single sign-on user, 1 anonymous user, 1 deleted user, 1 user without an address, 1 row without its user',
];

describe.each(wires)('over %s', (wire) => {
  test('the users of a Supabase dump sign in with their passwords, identities, factors and passkeys', async () => {
    const { service, provider, env } = await startWithGoogle();
    const { laptop, key, sql } = dumpWithKeys();
    const { dump } = written({ dump: sql });
    const ended = await runImport(service, ['--from', 'supabase', dump!], env);
    expect(ended.stdout.split('\n').slice(0, 3)).toEqual([
      summary[0],
      summary[1],
      `${summary[2]}; ${dump}.refused.jsonl has the lines and what can be done`,
    ]);
    expect(ended.code).toBe(0);
    expect(await wrongFactorCounts(service)).toEqual([]);

    const clients = service.clients(wire);
    const { auth, mfa, admin } = clients;
    const signedIn = await auth.signIn({ email: ada.email, password: importedPassword });
    expect(signedIn.user).toMatchObject({
      id: adaId,
      name: 'Ada Lovelace',
      emailVerified: true,
      phone: '491701234567',
    });
    const found = await admin.getUser({ userId: adaId }, asService);
    expect(found.user!.createTime!.seconds).toBe(BigInt(Date.parse('2024-01-15T10:30:00Z') / 1000));
    expect(found.user).toMatchObject({
      appMetadata: { provider: 'email', providers: ['email'] },
      userMetadata: { full_name: 'Ada Lovelace', note: 'a\nb\t"c"' },
    });
    const as = bearer(signedIn.tokens!);
    expect(signedIn.session!.aal).toBe(AssuranceLevel.AAL1);
    const { factors } = await mfa.listFactors({}, as);
    expect(factors.map(({ type, friendlyName, verified }) => ({ type, friendlyName, verified }))).toEqual([
      { type: FactorType.TOTP, friendlyName: "Ada's phone", verified: true },
      { type: FactorType.WEBAUTHN, friendlyName: 'Security key', verified: true },
    ]);
    const raised = await verifyCode(clients, as, factors[0]!.id, codeOf(secret, service.now()));
    expect(raised.session!.aal).toBe(AssuranceLevel.AAL2);
    await verifyWithDevice(clients, bearer(raised.tokens!), factors[1]!.id, key);
    const byPasskey = await signInWithPasskey(clients, laptop);
    expect(byPasskey).toMatchObject({ user: { id: adaId }, session: { aal: AssuranceLevel.AAL2 } });

    const claims = { sub: '108451117823764382771', email: bob.email, email_verified: true };
    const byGoogle = await auth.signInWithIdToken({ provider: 'google', idToken: await provider.idToken(claims) });
    const providers = ['google'];
    expect(byGoogle).toMatchObject({ userCreated: false, user: { id: bobId, name: 'Bob Babbage', providers } });
    const banned = auth.signIn({ email: 'carol@example.org', password: importedPassword });
    expect((await refusalOf(banned)).reason).toBe('USER_BANNED');
  });
});

test('an import from Supabase that runs again changes nothing and says so, from a stream as well', async () => {
  const { service, env } = await startWithGoogle();
  const { dump } = written({ dump: dumpWithKeys().sql });
  await runImport(service, ['--from', 'supabase', dump!], env);
  const before = await service.database.checksums();
  const again = await runImport(service, ['--from', 'supabase', dump!], env);
  expect(again.code).toBe(0);
  expect(again.stdout).toMatch(/^7 users: 0 users created, 3 already existed, 0 refused\nNot imported: /);
  expect(again.stdout).toMatch(/\nNothing was changed\n$/);
  expect(await service.database.checksums()).toEqual(before);
});

test('a dry run reports what an import would do, and changes nothing', async () => {
  const { service, env } = await startWithGoogle();
  const { dump } = written({ dump: dumpWithKeys().sql });
  const before = await service.database.checksums();
  const { code, stdout } = await runImport(service, ['--from', 'supabase', '--dry-run', dump!], env);
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^Dry run: 7 users: 3 users would be created, 0 already existed, 0 refused\nWould be imported with/,
  );
  expect(await service.database.checksums()).toEqual(before);
});

test('the report has the line, the user and what can be done for everything that is left out, and no address', async () => {
  const { service } = await startWithGoogle();
  const { dump } = written({ dump: dumpWithKeys().sql });
  const { stdout } = await runImport(service, ['--from', 'supabase', dump!]);
  expect(stdout).toContain(
    'OAUTH_PROVIDERS does not have: google (1 identity); nobody can sign in with it until it does\n',
  );
  const report = `${dump}.refused.jsonl`;
  const entries = refusalsIn(report);
  expect(entries).toContainEqual({ line: 35, user: adaId, left: 'SMS factor', advice: expect.stringContaining('SMS') });
  expect(entries).toContainEqual({
    ...{ line: 30, user: '99999999-9999-4999-8999-999999999999', left: 'row without its user', why: 'of identities' },
    advice: expect.any(String),
  });
  expect(entries).toHaveLength(11);
  expect(readFileSync(report, 'utf8')).not.toContain('@');
  const [row] = await service.database.query(`select count(*)::int from users where id::text like '%dead'`);
  expect(row).toEqual({ count: 0 });
});

test('rows of INSERT are imported too, and statements in the texts of users are texts', async () => {
  const { service, env } = await startWithGoogle();
  const { dump } = written({ dump: dumpOf('supabase-inserts.sql') });
  expect(await runImport(service, ['--from', 'supabase', dump!], env)).toMatchObject({
    code: 0,
    stdout: '2 users: 2 users created, 0 already existed, 0 refused\nImported with them: 1 identity\n',
  });
  const rows = await service.database.query('select email, name, user_metadata from users order by email');
  expect(rows).toEqual([
    {
      ...{ email: ada.email, name: 'Ada Lovelace' },
      user_metadata: { full_name: 'Ada Lovelace', note: "it's; a 'quoted' text" },
    },
    { email: bob.email, name: 'Bob "B" Babbage', user_metadata: { name: 'Bob "B" Babbage' } },
  ]);
});

test('the database of Supabase Auth is read directly', async () => {
  const { service, env } = await startWithGoogle();
  const { query } = service.database;
  await query('create schema auth');
  await query(
    `create table auth.users (id uuid primary key, email varchar(255), encrypted_password varchar(255),
       email_confirmed_at timestamptz, raw_app_meta_data jsonb, raw_user_meta_data jsonb, created_at timestamptz,
       phone text, banned_until timestamptz, is_sso_user boolean not null default false, deleted_at timestamptz,
       is_anonymous boolean not null default false)`,
  );
  await query(
    'create table auth.identities (provider_id text not null, user_id uuid not null, identity_data jsonb not null, provider text not null)',
  );
  await query(
    `create table auth.webauthn_credentials (user_id uuid not null, credential_id bytea not null, public_key bytea not null,
       sign_count bigint not null, transports jsonb not null, backup_eligible boolean not null, backed_up boolean not null)`,
  );
  await query(
    `insert into auth.users (id, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data, created_at)
     select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'user-' || n || '@example.org', '', now(), '{}',
       '{"full_name": "Ada Lovelace"}', '2024-01-15 12:30:00.123456+02' from generate_series(1, 2500) n`,
  );
  await query(
    `insert into auth.identities select id::text, id, '{"email_verified": true}', 'google' from auth.users limit 1500`,
  );
  const laptop = new SoftwareAuthenticator();
  const handle = Buffer.from('00000000-0000-4000-8000-000000000001');
  const { id, public_key } = registerElsewhere(laptop, handle);
  await query(
    `insert into auth.webauthn_credentials values ('00000000-0000-4000-8000-000000000001', $1, $2, 0, '["usb"]', false, false)`,
    [id, public_key],
  );
  const ended = await runImport(service, ['--from', 'supabase', service.database.url], env);
  expect(ended.stdout).toBe(
    '2500 users: 2500 users created, 0 already existed, 0 refused\nImported with them: 1500 identities, 1 passkey\n',
  );
  const { user } = await signInWithPasskey(service.clients('grpc'), laptop);
  expect(user).toMatchObject({ email: 'user-1@example.org', name: 'Ada Lovelace', emailVerified: true });
  await query('drop schema auth cascade');
});
