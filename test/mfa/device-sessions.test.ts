import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { FactorType } from '../../gen/gatehouse/v1/factor_pb.ts';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { codeOf, useApp, verifyCode } from '../support/authenticator.ts';
import { deviceFlow, forSession } from '../support/device-flow.ts';
import { authCodeOf } from '../support/fingerprint-samples.ts';
import { ada } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { siteLink } from '../support/site-methods.ts';
import { bearer, start, type TestService, type Wire, wires } from '../support/start.ts';

const { AAL1, AAL2 } = AssuranceLevel;
const verifiedAda = { ...ada, emailVerified: true };

type As = ReturnType<typeof bearer>;

/** How a session that is no browser's is opened, with the approval of a browser. */
const logins: Readonly<Record<string, (service: TestService, wire: Wire, as: As) => Promise<As>>> = {
  async 'a command line tool'(service, wire, as) {
    const { devices } = service.clients(wire);
    const { loginCode, pollingCode } = await devices.startCliLogin({});
    await devices.completeCliLogin({ loginCode }, as);
    return bearer((await devices.pollCliLogin({ pollingCode })).tokens!);
  },
  async 'a machine with a fingerprint'(service, wire, as) {
    const { devices } = service.clients(wire);
    const login = await devices.startFingerprintLogin({ fingerprintId: 'a_machine' });
    await devices.confirmFingerprintLogin({ authCode: authCodeOf(login) }, as);
    return bearer((await devices.pollFingerprintLogin({ pollingCode: login.pollingCode })).tokens!);
  },
  async 'a television'(service, wire, as) {
    const { request, approve, poll } = deviceFlow(service, wire);
    const { deviceCode, userCode } = await request(forSession);
    await approve(userCode, as);
    return bearer((await poll(deviceCode)).tokens!);
  },
};

describe.each(wires)('over %s', (wire) => {
  describe.each(Object.keys(logins))('the session of %s', (name) => {
    const signIn = logins[name]!;

    test('is at AAL1 whatever the level of its approval, and has the higher level once a factor is verified in it', async () => {
      const service = await start();
      const clients = service.clients(wire);
      const { as } = await service.welcome(verifiedAda);
      const { factorId, secret, tokens } = await useApp(clients, as, service.now());
      const program = await signIn(service, wire, bearer(tokens!));
      const assurance = await clients.mfa.getAssurance({}, program);
      expect(assurance).toMatchObject({ currentAal: AAL1, nextAal: AAL2, amr: [{ method: 'device' }] });
      const create = (by: As) => clients.devices.createApiKey({ name: 'a key' }, by);
      expect((await refusalOf(create(program))).reason).toBe('INSUFFICIENT_AAL');
      service.pass(30);
      const verified = await verifyCode(clients, program, factorId, codeOf(secret, service.now()));
      expect(verified.session!.aal).toBe(AAL2);
      await create(bearer(verified.tokens!));
      await clients.mfa.enrollFactor({ type: FactorType.TOTP, friendlyName: 'tablet' }, bearer(verified.tokens!));
    });

    test('goes on when a browser verifies a factor', async () => {
      const service = await start();
      const clients = service.clients(wire);
      const { as } = await service.welcome(verifiedAda);
      const program = await signIn(service, wire, as);
      const other = await service.signIn();
      await useApp(clients, as, service.now());
      expect((await refusalOf(clients.auth.getMe({}, other.as))).reason).toBe('SESSION_REVOKED');
      expect((await clients.auth.getMe({}, program)).user!.email).toBe(ada.email);
      expect((await clients.mfa.getAssurance({}, program)).currentAal).toBe(AAL1);
    });

    test('adds no way to sign in, which would outlast its revocation, and replaces and removes none', async () => {
      const service = await start();
      const { mfa, auth } = service.clients(wire);
      const { as } = await service.welcome(verifiedAda);
      const program = await signIn(service, wire, as);
      const refused = [
        () => mfa.enrollFactor({ type: FactorType.TOTP }, program),
        () => mfa.enrollFactor({ type: FactorType.WEBAUTHN }, program),
        () => mfa.startPasskeyRegistration({}, program),
        () => auth.startIdentityLink({ provider: 'acme', unbound: true }, program),
        () => auth.linkIdentity({ provider: 'acme', idToken: 'x' }, program),
        () => auth.updateCredentials({ newPassword: 'quite another phrase' }, program),
        () => auth.updateCredentials({ email: 'eve@example.org', link: siteLink }, program),
        () => auth.unlinkIdentity({ email: true }, program),
        () => mfa.deletePasskey({ passkeyId: randomUUID() }, program),
        () => auth.deleteMe({}, program),
      ];
      for (const call of refused) expect((await refusalOf(call())).reason).toBe('CALLER_NOT_ALLOWED');
      expect(await service.database.query('select 1 from factors')).toEqual([]);
      await auth.updateCredentials({ userMetadata: { theme: 'dark' } }, program);
      await service.signIn();
      await mfa.enrollFactor({ type: FactorType.TOTP }, as);
    });

    test('creates no API key and approves no other device, which would outlast its revocation', async () => {
      const service = await start();
      const { devices } = service.clients(wire);
      const { as } = await service.welcome(verifiedAda);
      const program = await signIn(service, wire, as);
      const { loginCode } = await devices.startCliLogin({});
      const fingerprintLogin = await devices.startFingerprintLogin({ fingerprintId: 'another_machine' });
      const authCode = authCodeOf(fingerprintLogin);
      const forTokens = await deviceFlow(service, wire).request(forSession);
      const forApiKey = await deviceFlow(service, wire).request();
      const approvals = (by: As) => [
        () => devices.createApiKey({ name: 'a program' }, by),
        () => devices.createDashboardCode({}, by),
        () => devices.completeCliLogin({ loginCode }, by),
        () => devices.confirmFingerprintLogin({ authCode }, by),
        () => devices.approveDevice({ userCode: forTokens.userCode }, by),
        () => devices.approveDevice({ userCode: forApiKey.userCode }, by),
      ];
      for (const call of approvals(program)) expect((await refusalOf(call())).reason).toBe('CALLER_NOT_ALLOWED');
      expect(await service.database.query('select 1 from api_keys')).toEqual([]);
      const cliCode = await deviceFlow(service, wire).create(as, true);
      await devices.redeemDashboardCode({ proof: { case: 'cliCode', value: cliCode }, clientName: 'a tool' });
      expect((await refusalOf(devices.approveDashboardCode({ cliCode }, program))).reason).toBe('CALLER_NOT_ALLOWED');
      await devices.denyDashboardCode({ cliCode }, program);
      for (const call of approvals(as)) await call();
    });
  });
});
