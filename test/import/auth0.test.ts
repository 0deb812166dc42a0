import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { FactorType } from '../../gen/gatehouse/v1/factor_pb.ts';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { codeOf, verifyCode } from '../support/authenticator.ts';
import { dumpOf, importedPassword, runImport, written, wrongFactorCounts } from '../support/foreign-dumps.ts';
import { sharedProvider } from '../support/identity-provider.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';

async function startWithProviders() {
  const provider = await sharedProvider();
  const env = { OAUTH_PROVIDERS: JSON.stringify({ google: provider.settings(), 'acme-idp': provider.settings() }) };
  return { service: await start({ env }), provider, env };
}

describe.each(wires)('over %s', (wire) => {
  test('the users of an Auth0 export sign in with passwords, providers and TOTP', async () => {
    const { service, provider, env } = await startWithProviders();
    const files = written({ users: gzipSync(dumpOf('auth0.jsonl')), secrets: dumpOf('auth0-secrets.jsonl') });
    const args = ['--from', 'auth0', '--secrets', files.secrets!, files.users!];
    const ended = await runImport(service, args, env);
    expect(ended.stdout).toContain(
      '5 users: 3 users created, 0 already existed, 0 refused\n' +
        'Imported with them: 2 identities, 1 TOTP factor\n' +
        'Not imported: 1 SMS factor, 1 Microsoft identity, 1 user without an address, 1 single sign-on user; ',
    );
    expect(ended.code).toBe(0);
    expect(await wrongFactorCounts(service)).toEqual([]);

    const clients = service.clients(wire);
    const { auth, mfa, admin } = clients;
    const { user, tokens } = await auth.signIn({ email: ada.email, password: importedPassword });
    expect(user).toMatchObject({ name: 'Ada Lovelace', emailVerified: true });
    const found = await admin.getUser({ userId: user!.id }, asService);
    expect(found.user).toMatchObject({
      appMetadata: { plan: 'gold', auth0_user_id: 'auth0|5dea9f9c82dd7c0e76e4ec93' },
      userMetadata: { theme: 'dark' },
    });
    const { factors } = await mfa.listFactors({}, bearer(tokens!));
    expect(factors.map(({ type }) => type)).toEqual([FactorType.TOTP]);
    const raised = await verifyCode(clients, bearer(tokens!), factors[0]!.id, codeOf(secret, service.now()));
    expect(raised.session!.aal).toBe(AssuranceLevel.AAL2);
    for (const [name, sub] of [
      ['google', '108451117823764382771'],
      ['acme-idp', '77'],
    ] as const) {
      const idToken = await provider.idToken({ sub, email: bob.email, email_verified: true });
      const signedIn = await auth.signInWithIdToken({ provider: name, idToken });
      expect(signedIn, name).toMatchObject({ userCreated: false, user: { name: 'Bob Babbage' } });
    }
    const before = await service.database.checksums();
    expect((await runImport(service, args, env)).stdout).toContain('0 users created, 3 already existed, 0 refused\n');
    expect(await service.database.checksums()).toEqual(before);
  });
});

test('without the file of secrets, passwords and factors of Auth0 are missing, and the factors are counted', async () => {
  const { service, env } = await startWithProviders();
  const { users } = written({ users: dumpOf('auth0.jsonl') });
  const { stdout } = await runImport(service, ['--from', 'auth0', users!], env);
  expect(stdout).toContain('Not imported: 1 TOTP secret, ');
  const tried = service.clients('grpc').auth.signIn({ email: ada.email, password: importedPassword });
  expect((await refusalOf(tried)).reason).toBe('INVALID_CREDENTIALS');
});

test('an id of Auth0 that is a UUID is kept, and two users with one address are reported', async () => {
  const { service } = await startWithProviders();
  const id = '9f425a8d-7efc-4768-8f23-7647a74fdf13';
  const lines = [
    { user_id: `auth0|${id}`, email: ada.email, name: ada.email },
    { user_id: 'google-oauth2|5', email: 'ADA@example.org', name: 'Ada' },
  ];
  const { users } = written({ users: lines.map((each) => JSON.stringify(each)).join('\n') });
  const ended = await runImport(service, ['--from', 'auth0', users!]);
  expect(ended).toMatchObject({ code: 1, stdout: '2 users: 1 user created, 0 already existed, 1 refused\n' });
  expect(await service.database.query('select id, name from users')).toEqual([{ id, name: '' }]);
});
