import { describe, expect, test } from 'vitest';
import { FactorType } from '../../gen/gatehouse/v1/factor_pb.ts';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { registerPasskey, signInWithPasskey, useSecurityKey, verifyWithDevice } from '../support/passkeys.ts';
import { ada } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { flags, SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };

describe.each(wires)('over %s', (wire) => {
  test.each([true, false])('a security key raises a session, with or without user verification: %s', async (pin) => {
    const service = await start();
    const clients = service.clients(wire);
    const { as, session } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator({ verifiesUser: pin });
    const { factorId, ...enrolled } = await useSecurityKey(clients, as, device);
    expect(enrolled.factor).toMatchObject({ type: FactorType.WEBAUTHN, verified: true });
    expect(enrolled.session).toMatchObject({ id: session.id, aal: AssuranceLevel.AAL2 });
    const again = bearer((await clients.auth.signIn(ada)).tokens!);
    expect((await refusalOf(clients.mfa.unenrollFactor({ factorId }, again))).reason).toBe('INSUFFICIENT_AAL');
    const verified = await verifyWithDevice(clients, again, factorId, device);
    expect(verified.session!.amr.map(({ method }) => method)).toEqual(['webauthn', 'password']);
  });

  test('the options ask for no user verification, name the credential, and exclude it from the next', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    const { factorId, tokens } = await useSecurityKey(clients, as, device);
    const raised = bearer(tokens!);
    const id = device.ids[0];
    const { requestOptions } = await clients.mfa.challengeFactor({ factorId }, raised);
    expect(requestOptions).toMatchObject({ userVerification: 'discouraged', allowCredentials: [{ id }] });
    const { factor } = await clients.mfa.enrollFactor({ type: FactorType.WEBAUTHN, friendlyName: 'b' }, raised);
    const { creationOptions } = await clients.mfa.challengeFactor({ factorId: factor!.id }, raised);
    expect(creationOptions).toMatchObject({
      authenticatorSelection: { residentKey: 'discouraged', userVerification: 'discouraged' },
      excludeCredentials: [{ id }],
    });
  });

  test('an authenticator may be both a passkey and a second factor, and neither replaces the other', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    await registerPasskey(clients, as, device);
    const { factorId, tokens } = await useSecurityKey(clients, as, device);
    const [passkey, key] = device.ids;
    expect(device.ids).toHaveLength(2);
    const { acceptedCredentials } = await clients.mfa.listPasskeys({}, bearer(tokens!));
    expect(acceptedCredentials!.allAcceptedCredentialIds).toEqual([passkey]);
    await verifyWithDevice(clients, bearer(tokens!), factorId, device);
    const { requestOptions } = await clients.mfa.startPasskeySignIn({});
    const chosen = { ...requestOptions!, allowCredentials: [{ id: passkey! }] };
    await clients.mfa.finishPasskeySignIn({ credential: device.get(chosen) });
    // The browser is not told to forget the credential, which would take the factor from the user.
    const wrong = device.get({ ...requestOptions!, allowCredentials: [{ id: key! }] });
    expect((await refusalOf(clients.mfa.finishPasskeySignIn({ credential: wrong }))).reason).toBe(
      'PASSKEY_VERIFICATION_FAILED',
    );
  });

  test('a passkey verifies its user where a factor is asked for', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator();
    const { passkey } = await registerPasskey(clients, as, device);
    const factorId = passkey!.id;
    expect((await clients.mfa.getAssurance({}, as)).factors).toMatchObject([
      { id: factorId, type: FactorType.PASSKEY },
    ]);
    expect((await clients.mfa.listFactors({}, as)).factors).toEqual([]);
    const refusal = await refusalOf(verifyWithDevice(clients, as, factorId, device, { flip: flags.verified }));
    expect(refusal.reason).toBe('PASSKEY_NEEDS_USER_VERIFICATION');
    const verified = await verifyWithDevice(clients, as, factorId, device);
    expect(verified.session!.amr.map(({ method }) => method)).toEqual(['passkey', 'password']);
    expect(verified.session!.aal).toBe(AssuranceLevel.AAL2);
  });

  test('a counter that does not grow is refused for a device-bound key, and not judged for a synced one', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const bound = new SoftwareAuthenticator();
    await registerPasskey(clients, as, bound, { signCount: 7 });
    await signInWithPasskey(clients, bound, { signCount: 9 });
    for (const signCount of [9, 8, 0]) {
      const refusal = await refusalOf(signInWithPasskey(clients, bound, { signCount }));
      expect(refusal).toMatchObject({ reason: 'PASSKEY_VERIFICATION_FAILED', metadata: { check: 'counter' } });
    }
    await signInWithPasskey(clients, bound, { signCount: 0xffffffff });
    const synced = new SoftwareAuthenticator({ isSynced: true });
    await registerPasskey(clients, as, synced, { signCount: 7 });
    for (const signCount of [3, 3, 0]) await signInWithPasskey(clients, synced, { signCount });
    const uncounted = new SoftwareAuthenticator({ counts: false });
    const { factorId, tokens } = await useSecurityKey(clients, as, uncounted);
    for (const _ of [1, 2]) await verifyWithDevice(clients, bearer(tokens!), factorId, uncounted);
    const failures = await service.database.query("select cause from audit_events where cause = 'passkey counter'");
    expect(failures).toHaveLength(3);
  });
});
