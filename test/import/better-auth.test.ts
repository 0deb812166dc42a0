import { createCipheriv, hash, randomBytes } from 'node:crypto';
import { Secret } from 'otpauth';
import { describe, expect, test } from 'vitest';
import { FactorType } from '../../gen/gatehouse/v1/factor_pb.ts';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { decryptBetterAuth, hchacha20 } from '../../src/cli/import/better-auth-secret.ts';
import { codeOf, verifyCode } from '../support/authenticator.ts';
import { dumpOf, runImport, written, wrongFactorCounts } from '../support/foreign-dumps.ts';
import { sharedProvider } from '../support/identity-provider.ts';
import { ada, asService, bob } from '../support/people.ts';
import { bearer, start, wires } from '../support/start.ts';

const betterAuthSecret = 'a secret of at least 32 characters';
const totpSecret = 'q8ZkT2vXn5LwR7sJdF4hGyPbMcKaEu9W';

/** Encrypts as Better Auth does, with the nonce of 24 bytes first. */
function encrypt(text: string, secret = betterAuthSecret): string {
  const nonce = randomBytes(24);
  const key = hchacha20(hash('sha256', secret, 'buffer'), nonce.subarray(0, 16));
  const short = Buffer.concat([Buffer.alloc(4), nonce.subarray(16)]);
  const cipher = createCipheriv('chacha20-poly1305', key, short, { authTagLength: 16 });
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('hex');
}

function dump(seal = encrypt): string {
  return dumpOf('better-auth.sql')
    .replace('{{totp_secret}}', seal(totpSecret))
    .replace('{{backup_codes}}', seal(JSON.stringify(['aBcDe-FgHiJ', 'kLmNo-PqRsT'])));
}

async function startWithGoogle() {
  const provider = await sharedProvider();
  const env = { OAUTH_PROVIDERS: JSON.stringify({ google: provider.settings() }) };
  return { service: await start({ env }), provider, env };
}

test('HChaCha20 has the output of the test vector in draft-irtf-cfrg-xchacha-03, section 2.2.1', () => {
  const key = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
  const nonce = Buffer.from('000000090000004a0000000031415927', 'hex');
  expect(hchacha20(key, nonce).toString('hex')).toBe(
    '82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc',
  );
});

test('a value is decrypted with its secret only, with and without the version of the secret', () => {
  const sealed = encrypt('text');
  expect(decryptBetterAuth(betterAuthSecret, sealed)).toBe('text');
  expect(decryptBetterAuth(betterAuthSecret, `$ba$2$${sealed}`)).toBe('text');
  for (const wrong of [encrypt('text', 'another'), 'text', '', 'abcd', sealed.slice(2)])
    expect(decryptBetterAuth(betterAuthSecret, wrong)).toBeUndefined();
});

describe.each(wires)('over %s', (wire) => {
  test('the users of a Better Auth dump sign in with passwords, providers, TOTP and backup codes', async () => {
    const { service, provider, env } = await startWithGoogle();
    const files = written({ dump: dump(), secret: `${betterAuthSecret}\n` });
    const args = ['--from', 'better-auth', '--secrets', files.secret!, files.dump!];
    const ended = await runImport(service, args, env);
    expect(ended.stdout).toContain(
      '4 users: 3 users created, 0 already existed, 0 refused\n' +
        'Imported with them: 1 identity, 1 TOTP factor, 2 recovery codes\n' +
        'Not imported: 1 role of administrator, 1 passkey, 1 wallet identity, 1 Microsoft identity, 1 anonymous user; ',
    );
    expect(ended.code).toBe(0);
    expect(await wrongFactorCounts(service)).toEqual([]);

    const clients = service.clients(wire);
    const { auth, mfa, admin } = clients;
    const signIn = () => auth.signIn({ email: ada.email, password: ada.password });
    const { user, tokens } = await signIn();
    expect(user).toMatchObject({ name: 'Ada Lovelace', emailVerified: true });
    const found = await admin.getUser({ userId: user!.id }, asService);
    expect(found.user!.appMetadata).toEqual({ better_auth_id: 'jq4nWvJd8zP0mXkE7TgYbR2sLhC9uAfQ' });
    expect(found.user!.createTime!.seconds).toBe(BigInt(Date.parse('2024-01-15T10:30:00Z') / 1000));
    const as = bearer(tokens!);
    const { factors } = await mfa.listFactors({}, as);
    // The app has the text as a secret.
    const base32 = Secret.fromUTF8(totpSecret).base32;
    const totp = factors.find(({ type }) => type === FactorType.TOTP)!;
    const raised = await verifyCode(clients, as, totp.id, codeOf(base32, service.now()));
    expect(raised.session!.aal).toBe(AssuranceLevel.AAL2);
    const codes = factors.find(({ type }) => type === FactorType.RECOVERY_CODE)!;
    await verifyCode(clients, bearer((await signIn()).tokens!), codes.id, 'aBcDe-FgHiJ');

    const claims = { sub: '108451117823764382771', email: bob.email, email_verified: true };
    const byGoogle = await auth.signInWithIdToken({ provider: 'google', idToken: await provider.idToken(claims) });
    expect(byGoogle).toMatchObject({ userCreated: false, user: { name: 'Bob Babbage' } });
  });
});

test.each<[string, string | undefined]>([
  ['without the secret', undefined],
  ['with another secret', 'another secret of the same length.'],
])('%s of Better Auth, second factors are left out and counted', async (_, secret) => {
  const { service, env } = await startWithGoogle();
  const files = written({ dump: dump(), ...(secret && { secret }) });
  const given = secret ? ['--secrets', files.secret!] : [];
  const args = ['--from', 'better-auth', ...given, files.dump!];
  const ended = await runImport(service, args, env);
  expect(ended.stdout).toContain('Imported with them: 1 identity\n');
  expect(ended.stdout).toContain('1 encrypted TOTP secret, 1 recovery code set, 1 passkey');
  await service.signIn(ada);
  const before = await service.database.checksums();
  expect((await runImport(service, args, env)).stdout).toContain('0 users created, 3 already existed, 0 refused\n');
  expect(await service.database.checksums()).toEqual(before);
});

test('a database with the columns of Drizzle is read directly', async () => {
  const { service, env } = await startWithGoogle();
  await service.database.query('create schema other');
  await service.database.query(
    `create table other."user" (id text primary key, name text not null, email text not null unique, email_verified boolean not null,
       created_at timestamp not null, banned boolean, is_anonymous boolean)`,
  );
  await service.database.query(
    'create table other.account (id text primary key, user_id text not null, provider_id text not null, account_id text, password text)',
  );
  await service.database.query(`insert into other."user" values
    ('6f1c2d3e-4a5b-4c6d-8e7f-901234567890', 'Ada Lovelace', 'ada@example.org', true, '2024-01-15 10:30:00', false, null)`);
  await service.database.query(`insert into other.account values
    ('1', '6f1c2d3e-4a5b-4c6d-8e7f-901234567890', 'google', '77', null)`);
  const url = `${service.database.url}?options=${encodeURIComponent('-c search_path=other')}`;
  const ended = await runImport(service, ['--from', 'better-auth', url], env);
  expect(ended).toMatchObject({
    code: 0,
    stdout: '1 user: 1 user created, 0 already existed, 0 refused\nImported with them: 1 identity\n',
  });
  const rows = await service.database.query('select id, name, created_at::text from users');
  expect(rows).toEqual([
    { id: '6f1c2d3e-4a5b-4c6d-8e7f-901234567890', name: 'Ada Lovelace', created_at: '2024-01-15 10:30:00+00' },
  ]);
  await service.database.query('drop schema other cascade');
});
