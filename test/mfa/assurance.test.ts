import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { Access, AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { policyOf } from '../../src/rpc/policy.ts';
import { codeOf, enrollApp, useApp, verifyCode } from '../support/authenticator.ts';
import { methods, nameOf } from '../support/contract.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService } from '../support/people.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };

test('these methods ask users with a factor for it, and no others', () => {
  const asking = methods.filter((each) => policyOf(each)!.aal2IfEnrolled);
  expect(asking.map(nameOf).sort()).toEqual([
    'AuthService.ChangePassword',
    'AuthService.DeleteMe',
    'AuthService.LinkIdentity',
    'AuthService.StartIdentityLink',
    'AuthService.UnlinkIdentity',
    'DeviceService.ApproveDashboardCode',
    'DeviceService.ApproveDevice',
    'DeviceService.CompleteCliLogin',
    'DeviceService.ConfirmFingerprintLogin',
    'DeviceService.CreateApiKey',
    'DeviceService.CreateDashboardCode',
    'MfaService.DeletePasskey',
    'MfaService.EnrollFactor',
    'MfaService.FinishPasskeyRegistration',
    'MfaService.GenerateRecoveryCodes',
    'MfaService.RenamePasskey',
    'MfaService.StartPasskeyRegistration',
    'MfaService.UnenrollFactor',
  ]);
});

/** What the contract requires of a session at the level and the age, of a user with a factor. */
function expected(method: (typeof methods)[number], level: number, isOld: boolean): string | undefined {
  const { access, aal2IfEnrolled, minAssurance, maxAuthenticationAge } = policyOf(method)!;
  const asks = aal2IfEnrolled || minAssurance === AssuranceLevel.AAL2 || access === Access.ADMIN;
  if (asks && level < 2) return 'INSUFFICIENT_AAL';
  return maxAuthenticationAge && isOld ? 'REAUTHENTICATION_REQUIRED' : undefined;
}

describe.each(wires)('over %s', (wire) => {
  test('each method admits the levels and ages of sessions that the contract says', async () => {
    const service = await start({ skipChecks: ['orphans', 'docs'] });
    const callers = await callersOf(service);
    const deviations: object[] = [];
    for (const method of methods.filter((each) => policyOf(each)!.access === Access.USER))
      for (const { as, level, isOld } of callers) {
        const wanted = expected(method, level, isOld);
        // They act for every caller that is admitted.
        if (!wanted && /DeleteMe|CreateDashboardCode|GenerateRecoveryCodes/.test(method.name)) continue;
        const text = method.input.fields.find((each) => each.fieldKind === 'scalar' && each.scalar === 9);
        const message = create(method.input, (text ? { [text.localName]: '\u0000' } : {}) as MessageInitShape<never>);
        const call = service.transport(wire).unary(method, undefined, undefined, new Headers(as.headers), message);
        const seen = await call.then(() => undefined, reasonOf);
        const asks = seen === 'INSUFFICIENT_AAL' || seen === 'REAUTHENTICATION_REQUIRED' ? seen : undefined;
        if (asks !== wanted) deviations.push({ method: nameOf(method), level, isOld, wanted, seen });
      }
    expect(deviations).toEqual([]);
  }, 60_000);

  test('the age of an authentication is that of the last factor, and refreshes do not renew it', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { factorId, secret, tokens } = await useApp(clients, as, service.now());
    let refreshToken = tokens!.refreshToken;
    let accessToken = tokens!.accessToken;
    const [amr] = [(await clients.mfa.getAssurance({}, bearer({ accessToken }))).amr];
    for (const minutes of [5, 4, 1.5]) {
      service.pass(minutes * 60);
      const next = await clients.sessions.refresh({ refreshToken });
      ({ refreshToken, accessToken } = next.tokens!);
    }
    const fresh = bearer({ accessToken });
    expect((await clients.mfa.getAssurance({}, fresh)).amr).toEqual(amr);
    const refusal = await refusalOf(clients.mfa.generateRecoveryCodes({}, fresh));
    expect(refusal).toMatchObject({ reason: 'REAUTHENTICATION_REQUIRED', metadata: { max_age_seconds: '600' } });
    const verified = await verifyCode(clients, fresh, factorId, codeOf(secret, service.now()));
    await clients.mfa.generateRecoveryCodes({}, bearer(verified.tokens!));
  });

  test('a verification revokes lower sessions of browsers and apps, and leaves devices, tools and keys', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { apiKey, secret: key } = await clients.devices.createApiKey({ name: 'a program' }, as);
    const { userCode, deviceCode } = await clients.devices.requestDeviceCode({ credential: 2 });
    await clients.devices.approveDevice({ userCode }, as);
    const television = bearer((await clients.devices.pollDeviceToken({ deviceCode })).tokens!);
    const other = await service.signIn();
    const { tokens } = await useApp(clients, as, service.now());
    expect((await refusalOf(clients.sessions.listSessions({}, other.as))).reason).toBe('SESSION_REVOKED');
    await clients.auth.getMe({}, television);
    await clients.auth.getMe({}, bearer({ accessToken: key }));
    const barred = clients.devices.createApiKey({ name: 'another' }, television);
    expect((await refusalOf(barred)).reason).toBe('INSUFFICIENT_AAL');
    const raised = bearer(tokens!);
    expect((await clients.devices.listApiKeys({}, raised)).apiKeys.map(({ id }) => id)).toEqual([apiKey!.id]);
    const { userCode: second, deviceCode: polled } = await clients.devices.requestDeviceCode({ credential: 2 });
    const low = (await service.signIn()).as;
    expect((await refusalOf(clients.devices.approveDevice({ userCode: second }, low))).reason).toBe('INSUFFICIENT_AAL');
    await clients.devices.approveDevice({ userCode: second }, raised);
    const minted = (await clients.devices.pollDeviceToken({ deviceCode: polled })).tokens!;
    const seen = await clients.sessions.introspect({ token: minted.accessToken }, asService);
    expect(seen.aal, 'a device never inherits the level').toBe(AssuranceLevel.AAL1);
  });

  test('a second enrolment that is given up leaves the first factor and the recovery codes as they are', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const first = await useApp(clients, as, service.now());
    const raised = bearer(first.tokens!);
    const { codes, factor } = await clients.mfa.generateRecoveryCodes({}, raised);
    const second = await enrollApp(clients, raised, 'tablet');
    service.pass(30);
    const again = (await service.signIn()).as;
    const usable = (await clients.mfa.getAssurance({}, again)).factors.map(({ id }) => id);
    expect(usable).toEqual([first.factorId, factor!.id]);
    const foreign = verifyCode(clients, again, first.factorId, codeOf(second.secret, service.now()));
    expect((await refusalOf(foreign)).reason).toBe('MFA_VERIFICATION_FAILED');
    await verifyCode(clients, again, first.factorId, codeOf(first.secret, service.now()));
    await verifyCode(clients, (await service.signIn()).as, factor!.id, codes[0]!);
  });

  test('neither a guest nor a user without a verified address enrols a factor', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const guest = await service.guest();
    expect((await refusalOf(enrollApp(clients, guest.as))).reason).toBe('GUEST_NOT_ALLOWED');
    const { as } = await service.welcome(ada);
    expect((await refusalOf(enrollApp(clients, as))).reason).toBe('EMAIL_NOT_VERIFIED');
    await clients.auth.sendVerificationEmail({}, as);
    await clients.auth.verifyEmail({ token: await tokenFor(service, ada.email) });
    await enrollApp(clients, as);
  });

  test('new recovery codes replace the earlier ones, and nothing else creates any', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const raised = bearer((await useApp(clients, as, service.now())).tokens!);
    const old = await clients.mfa.generateRecoveryCodes({}, raised);
    await clients.mfa.listFactors({}, raised);
    await clients.mfa.getAssurance({}, raised);
    const kept = await verifyCode(clients, (await service.signIn()).as, old.factor!.id, old.codes[0]!);
    const { codes, factor } = await clients.mfa.generateRecoveryCodes({}, bearer(kept.tokens!));
    const again = (await service.signIn()).as;
    const gone = verifyCode(clients, again, old.factor!.id, old.codes[1]!);
    expect((await refusalOf(gone)).reason).toBe('FACTOR_NOT_FOUND');
    const wrong = verifyCode(clients, again, factor!.id, old.codes[1]!);
    expect((await refusalOf(wrong)).reason).toBe('MFA_VERIFICATION_FAILED');
    await verifyCode(clients, again, factor!.id, codes[1]!);
  });
});

/** Sessions of a user with a factor, at both levels, fresh and old. */
async function callersOf(service: TestService) {
  const clients = service.clients('json');
  const { as } = await service.welcome(verifiedAda);
  const { factorId, secret } = await useApp(clients, as, service.now());
  const open = async (level: number) => {
    const { as: low } = await service.signIn();
    if (level === 1) return { as: low, level };
    service.pass(30);
    const { tokens } = await verifyCode(clients, low, factorId, codeOf(secret, service.now()));
    return { as: bearer(tokens!), level };
  };
  const old = [await open(2), await open(1)];
  service.pass(660);
  // The sessions of the level 1 would be revoked by a verification after them.
  const fresh = await open(2);
  const revived = await service.database.query(
    `update sessions set revoked_at = null, revoke_reason = null where revoke_reason = 'factor_verified' returning id`,
  );
  expect(revived.length).toBeGreaterThan(0);
  return [
    ...old.map((each) => ({ ...each, isOld: true })),
    ...[fresh, await open(1)].map((each) => ({ ...each, isOld: false })),
  ];
}
