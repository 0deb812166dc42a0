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
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start, wires } from '../support/start.ts';

const adaId = '9f425a8d-7efc-4768-8f23-7647a74fdf13';
const secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';

/** A dump of Ory Kratos in which ada has a passkey and a security key, and both authenticators. */
function dumpWithKeys() {
  const [laptop, key] = [new SoftwareAuthenticator(), new SoftwareAuthenticator()];
  const handle = Buffer.from(adaId.replaceAll('-', ''), 'hex');
  const credentials = { passkey: registerElsewhere(laptop, handle), key: registerElsewhere(key, handle) };
  return { laptop, key, sql: dumpOf('kratos.sql', credentials) };
}

async function importKratos() {
  const provider = await sharedProvider();
  const env = { OAUTH_PROVIDERS: JSON.stringify({ google: provider.settings() }) };
  const service = await start({ env });
  const { sql, ...devices } = dumpWithKeys();
  const { dump } = written({ dump: sql });
  return {
    service,
    provider,
    dump: dump!,
    ...devices,
    again: () => runImport(service, ['--from', 'kratos', dump!], env),
  };
}

describe.each(wires)('over %s', (wire) => {
  test('the identities of a Kratos dump sign in with their passwords, providers, factors, codes and passkeys', async () => {
    const { service, provider, laptop, key, again } = await importKratos();
    const ended = await again();
    expect(ended.stdout).toContain(
      '4 users: 3 users created, 0 already existed, 0 refused\n' +
        'Imported with them: 1 identity, 1 TOTP factor, 1 security key, 1 passkey, 2 recovery codes\n' +
        'Not imported: 1 private metadata, 1 single sign-on identity, 1 security key, 1 password hash, 1 user without an address; ',
    );
    expect(ended.code).toBe(0);
    expect(await wrongFactorCounts(service)).toEqual([]);

    const clients = service.clients(wire);
    const { auth, mfa, admin } = clients;
    const signIn = () => auth.signIn({ email: ada.email, password: importedPassword });
    const { user, tokens } = await signIn();
    expect(user).toMatchObject({ id: adaId, name: 'Ada Lovelace', emailVerified: true });
    const found = await admin.getUser({ userId: adaId }, asService);
    expect(found.user).toMatchObject({
      appMetadata: { plan: 'gold' },
      userMetadata: { company: 'Analytical Engines' },
    });
    expect(found.user!.createTime!.seconds).toBe(BigInt(Date.parse('2024-01-15T10:30:00Z') / 1000));
    const as = bearer(tokens!);
    const { factors } = await mfa.listFactors({}, as);
    const [totp, webauthn, codes] = [FactorType.TOTP, FactorType.WEBAUTHN, FactorType.RECOVERY_CODE].map((type) =>
      factors.find((each) => each.type === type),
    );
    const raised = await verifyCode(clients, as, totp!.id, codeOf(secret, service.now()));
    expect(raised.session!.aal).toBe(AssuranceLevel.AAL2);
    await verifyWithDevice(clients, bearer((await signIn()).tokens!), webauthn!.id, key);
    const byCode = await verifyCode(clients, bearer((await signIn()).tokens!), codes!.id, 'A1B2-C3D4');
    expect(byCode.session!.aal).toBe(AssuranceLevel.AAL2);
    const later = bearer((await signIn()).tokens!);
    for (const spent of ['a1b2c3d4', 'used0000', 'zzzzzzzz'])
      expect(await verifyCode(clients, later, codes!.id, spent).then(() => 'OK', reasonOf), spent).toBe(
        'MFA_VERIFICATION_FAILED',
      );
    expect((await signInWithPasskey(clients, laptop)).user!.id).toBe(adaId);

    const claims = { sub: '108451117823764382771', email: bob.email, email_verified: true };
    const byGoogle = await auth.signInWithIdToken({ provider: 'google', idToken: await provider.idToken(claims) });
    expect(byGoogle).toMatchObject({ userCreated: false, user: { name: 'Bob Babbage' } });
    const inactive = await admin.listUsers({}, asService);
    expect(inactive.users.find(({ email }) => email === 'carol@example.org')!.bannedUntilTime).toBeDefined();
  });
});

test('a password whose hash is of an unknown form, and a key whose handle is foreign, are left out with a reason', async () => {
  const { service, dump, again } = await importKratos();
  await again();
  const entries = refusalsIn(`${dump}.refused.jsonl`);
  const user = '9f425a8d-7efc-4768-8f23-7647a74fdf15';
  const why = (left: string) => entries.find((each) => each.user === user && each.left === left)?.why;
  expect(why('password hash')).toBe('password_hash: the form is not known');
  expect(why('security key')).toBe('its user handle is not the id of the user');
  const tried = service.clients('grpc').auth.signIn({ email: 'carol@example.org', password: importedPassword });
  expect((await refusalOf(tried)).reason).toBe('INVALID_CREDENTIALS');
});

test('an import from Kratos that runs again changes nothing', async () => {
  const { service, again } = await importKratos();
  await again();
  const before = await service.database.checksums();
  expect((await again()).stdout).toMatch(
    /^4 users: 0 users created, 3 already existed, 0 refused\n.*\nNothing was changed\n$/,
  );
  expect(await service.database.checksums()).toEqual(before);
});

test('imported recovery codes are stored so that a copy of the database does not reveal them', async () => {
  const { service, again } = await importKratos();
  await again();
  const dumped = await service.database.dump();
  expect(dumped).not.toContain('a1b2c3d4');
  expect(dumped).not.toContain(secret);
});
