import { describe, expect, test } from 'vitest';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { registerPasskey, signInWithPasskey } from '../support/passkeys.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { type Algorithm, SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };
const verifiedBob = { ...bob, emailVerified: true };

describe.each(wires)('over %s', (wire) => {
  test('a passkey signs in alone, at AAL2', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as, user } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    const { passkey } = await registerPasskey(clients, as, device, { friendlyName: 'laptop' });
    expect(passkey).toMatchObject({
      friendlyName: 'laptop',
      transports: ['internal', 'hybrid'],
      backupEligible: false,
    });
    const signedIn = await signInWithPasskey(clients, device);
    expect(signedIn.user!.id).toBe(user.id);
    expect(signedIn.session).toMatchObject({ aal: AssuranceLevel.AAL2, amr: [{ method: 'passkey' }] });
    expect(signedIn.account!.account).toBeDefined();
    const { accessToken: token, refreshToken } = signedIn.tokens!;
    expect(await clients.sessions.introspect({ token }, asService)).toMatchObject({ aal: AssuranceLevel.AAL2 });
    const refreshed = await clients.sessions.refresh({ refreshToken });
    const { accessToken } = refreshed.tokens!;
    expect(await clients.sessions.introspect({ token: accessToken }, asService)).toMatchObject({
      aal: AssuranceLevel.AAL2,
    });
    const { passkeys } = await clients.mfa.listPasskeys({}, bearer(signedIn.tokens!));
    expect(passkeys).toMatchObject([{ id: passkey!.id, lastUseTime: expect.anything() }]);
  });

  test.each<Algorithm>(['ES256', 'EdDSA', 'RS256'])('%s signs', async (algorithm) => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator({ algorithm });
    await registerPasskey(clients, as, device);
    await signInWithPasskey(clients, device);
  });

  test('the user handle is the same for all passkeys of a user, names nobody, and finds the right user', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as, user } = await service.welcome(verifiedAda);
    const { as: asBob, user: bobUser } = await service.welcome(verifiedBob);
    const handleOf = async (caller: typeof as) => {
      const { creationOptions } = await clients.mfa.startPasskeyRegistration({}, caller);
      return (creationOptions!.user as { id: string }).id;
    };
    const handle = await handleOf(as);
    expect(Buffer.from(handle, 'base64url').toString('hex')).toBe(user.id.replaceAll('-', ''));
    expect(await handleOf(asBob)).not.toBe(handle);
    const [laptop, phone, other] = [1, 2, 3].map(() => new SoftwareAuthenticator()) as [
      SoftwareAuthenticator,
      SoftwareAuthenticator,
      SoftwareAuthenticator,
    ];
    await registerPasskey(clients, as, laptop);
    await registerPasskey(clients, as, phone);
    await registerPasskey(clients, asBob, other);
    await clients.admin.updateUser({ userId: user.id, email: 'countess@example.org', emailVerified: true }, asService);
    for (const device of [laptop, phone]) expect((await signInWithPasskey(clients, device)).user!.id).toBe(user.id);
    expect((await signInWithPasskey(clients, other)).user!.id).toBe(bobUser.id);
    expect(await handleOf(bearer((await signInWithPasskey(clients, phone)).tokens!))).toBe(handle);
  });

  test('an authenticator registers once, and the options exclude what is stored', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const [first, second] = [new SoftwareAuthenticator(), new SoftwareAuthenticator()];
    await registerPasskey(clients, as, first);
    await expect(registerPasskey(clients, as, first)).rejects.toThrow('InvalidStateError');
    await registerPasskey(clients, as, second);
    const { creationOptions } = await clients.mfa.startPasskeyRegistration({}, as);
    const { passkeys, acceptedCredentials } = await clients.mfa.listPasskeys({}, as);
    const stored = [...first.ids, ...second.ids];
    expect((creationOptions!.excludeCredentials as { id: string }[]).map(({ id }) => id)).toEqual(stored);
    expect(passkeys.map(({ credentialId }) => credentialId)).toEqual(stored);
    expect(acceptedCredentials).toMatchObject({ rpId: 'gatehouse.test', allAcceptedCredentialIds: stored });
    await signInWithPasskey(clients, first);
    await signInWithPasskey(clients, second);
  });

  test('a credential that is registered is refused with a reason of its own, whose ever it is', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { as: asBob } = await service.welcome(verifiedBob);
    const device = new SoftwareAuthenticator();
    await registerPasskey(clients, as, device);
    const credentialId = Buffer.from(device.ids[0]!, 'base64url');
    for (const caller of [as, asBob]) {
      const copy = registerPasskey(clients, caller, new SoftwareAuthenticator(), { credentialId });
      expect(await refusalOf(copy)).toMatchObject({
        reason: 'AUTHENTICATOR_ALREADY_REGISTERED',
        message: 'this device already has a passkey',
      });
    }
    expect((await clients.mfa.listPasskeys({}, as)).passkeys).toHaveLength(1);
    expect((await clients.mfa.listPasskeys({}, asBob)).passkeys).toEqual([]);
  });

  test('an authenticator that does not verify its user has no passkey, and is asked for what is checked', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { creationOptions } = await clients.mfa.startPasskeyRegistration({}, as);
    expect(creationOptions).toMatchObject({
      attestation: 'none',
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
    });
    const withoutPin = new SoftwareAuthenticator({ verifiesUser: false });
    const refusal = await refusalOf(registerPasskey(clients, as, withoutPin));
    expect(refusal.reason).toBe('PASSKEY_NEEDS_USER_VERIFICATION');
    expect(refusal.message).toContain('set a PIN');
    expect((await clients.mfa.listPasskeys({}, as)).passkeys).toEqual([]);
  });

  test('a sign-in page that stayed open gets a reason with which it can begin again', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    await registerPasskey(clients, as, device);
    const { requestOptions, expireTime } = await clients.mfa.startPasskeySignIn({});
    expect(Number(expireTime!.seconds) * 1000 - service.now().getTime()).toBeLessThanOrEqual(300_000);
    service.pass(301);
    const late = clients.mfa.finishPasskeySignIn({ credential: device.get(requestOptions!) });
    expect((await refusalOf(late)).reason).toBe('MFA_CHALLENGE_EXPIRED');
    await signInWithPasskey(clients, device);
    const rows = await service.database.query("select id from challenges where purpose = 'passkey_sign_in'");
    expect(rows).toHaveLength(1);
  });

  test('a passkey is renamed and deleted, and its sessions fall to AAL1', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    const other = new SoftwareAuthenticator();
    const { passkey } = await registerPasskey(clients, as, device, { friendlyName: 'laptop' });
    const { passkey: second } = await registerPasskey(clients, as, other, { friendlyName: 'phone' });
    const { tokens } = await signInWithPasskey(clients, device);
    const raised = bearer(tokens!);
    const rename = (friendlyName: string) =>
      clients.mfa.renamePasskey({ passkeyId: passkey!.id, friendlyName }, raised);
    expect((await rename('old laptop')).passkey).toMatchObject({ id: passkey!.id, friendlyName: 'old laptop' });
    expect((await refusalOf(rename('phone'))).reason).toBe('FACTOR_NAME_CONFLICT');
    const { unknownCredential, acceptedCredentials } = await clients.mfa.deletePasskey(
      { passkeyId: passkey!.id },
      raised,
    );
    expect(unknownCredential).toMatchObject({ rpId: 'gatehouse.test', credentialId: device.ids[0] });
    expect(acceptedCredentials!.allAcceptedCredentialIds).toEqual([second!.credentialId]);
    expect(await clients.mfa.getAssurance({}, raised)).toMatchObject({ currentAal: AssuranceLevel.AAL1 });
    expect((await refusalOf(signInWithPasskey(clients, device))).reason).toBe('PASSKEY_UNKNOWN');
    expect((await refusalOf(rename('gone'))).reason).toBe('PASSKEY_NOT_FOUND');
    await signInWithPasskey(clients, other);
  });
});
