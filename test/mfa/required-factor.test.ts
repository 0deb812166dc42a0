import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { SessionKind } from '../../gen/gatehouse/v1/session_pb.ts';
import { SystemRole } from '../../gen/gatehouse/v1/user_pb.ts';
import { policyOf } from '../../src/rpc/policy.ts';
import { stepUpOf } from '../../src/sdk/surface.ts';
import { codeOf, useApp, verifyCode } from '../support/authenticator.ts';
import { methods, nameOf } from '../support/contract.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };
const everyone = { MFA_REQUIRED_FOR: 'everyone', MAIL_GAP: '0s' };

test('a session that lacks a required factor may call these methods, and no others', () => {
  const admitting = methods.filter((each) => policyOf(each)!.admitsFactorRequired);
  expect(admitting.map(nameOf).sort()).toEqual([
    'AuthService.ChangePassword',
    'AuthService.GetMe',
    'AuthService.SendVerificationEmail',
    'AuthService.VerifyEmail',
    'MfaService.ChallengeFactor',
    'MfaService.EnrollFactor',
    'MfaService.GetAssurance',
    'MfaService.ListFactors',
    'MfaService.VerifyFactor',
    'SessionService.SignOut',
  ]);
});

describe.each(wires)('over %s', (wire) => {
  test('a user who must have a factor gets restricted tokens until one is verified', async () => {
    const service = await start({ env: everyone });
    const clients = service.clients(wire);
    const { tokens, as } = await service.welcome(verifiedAda);
    const signedIn = await clients.auth.signIn(ada);
    expect(signedIn.tokens).toMatchObject({ factorRequired: true, nextAal: AssuranceLevel.AAL1 });
    expect(decodeJwt(tokens.accessToken).aud).toBe('gatehouse:factor-required');
    expect(await isActive(service, tokens.accessToken)).toBe(false);
    await clients.auth.getMe({}, as);
    const refusal = await refusalOf(clients.sessions.listSessions({}, as));
    expect(refusal).toMatchObject({ code: 7, reason: 'FACTOR_REQUIRED', metadata: { required_aal: 'aal2' } });
    const refreshed = await clients.sessions.refresh({ refreshToken: tokens.refreshToken });
    expect(refreshed.tokens!.factorRequired).toBe(true);
    expect(await isActive(service, refreshed.tokens!.accessToken)).toBe(false);

    const { tokens: raised } = await useApp(clients, bearer(refreshed.tokens!), service.now());
    expect(raised).toMatchObject({ factorRequired: false, nextAal: AssuranceLevel.AAL2 });
    expect(decodeJwt(raised!.accessToken).aud).toBe('authenticated');
    expect(await isActive(service, raised!.accessToken)).toBe(true);
    await clients.sessions.listSessions({}, bearer(raised!));
    const old = clients.sessions.listSessions({}, bearer(refreshed.tokens!));
    expect((await refusalOf(old)).reason, 'an earlier token stays restricted').toBe('FACTOR_REQUIRED');
    expect(await isActive(service, refreshed.tokens!.accessToken)).toBe(false);
  });

  test('every method refuses a restricted session unless its policy admits it', async () => {
    const service = await start({ env: everyone, skipChecks: ['orphans'] });
    const { as } = await service.welcome(verifiedAda);
    const before = await service.database.checksums();
    const reads = methods.filter((each) => policyOf(each)!.access === 2 || policyOf(each)!.optionalBearer);
    const deviations: string[] = [];
    for (const method of reads) {
      if (policyOf(method)!.admitsFactorRequired) continue;
      const message = create(method.input, {} as MessageInitShape<typeof method.input>);
      const call = service.transport(wire).unary(method, undefined, undefined, new Headers(as.headers), message);
      const reason = await call.then(() => 'ok', reasonOf);
      if (reason !== 'FACTOR_REQUIRED') deviations.push(`${nameOf(method)}: ${reason}`);
    }
    expect(deviations).toEqual([]);
    expect(reads.length).toBeGreaterThan(40);
    expect(await service.database.checksums(), 'nothing has changed').toEqual(before);
  });

  test('with a factor each new sign-in is restricted, however it is made, and the factor lifts it', async () => {
    const service = await start({ env: { ...everyone, MFA_ENROLMENT_GRACE: '30' } });
    const clients = service.clients(wire);
    const { as, tokens: first } = await service.welcome(verifiedAda);
    expect(first.factorRequired, 'within the grace').toBe(false);
    const { factorId, secret } = await useApp(clients, as, service.now());
    await clients.auth.requestMagicLink({ email: ada.email });
    const magicLink = await tokenFor(service, ada.email);
    await clients.auth.requestPasswordReset({ email: ada.email });
    const resetLink = await tokenFor(service, ada.email);
    const sessions = [
      await clients.auth.signIn(ada),
      await clients.auth.signIn({ ...ada, kind: SessionKind.NATIVE }),
      await clients.auth.signInWithMagicLink({ token: magicLink }),
      await clients.auth.signInWithResetToken({ token: resetLink }),
    ];
    for (const { tokens } of sessions) {
      expect(tokens).toMatchObject({ factorRequired: true, nextAal: AssuranceLevel.AAL2 });
      const refusal = await refusalOf(clients.sessions.listSessions({}, bearer(tokens!)));
      expect(refusal.reason).toBe('FACTOR_REQUIRED');
    }
    service.pass(30);
    const last = bearer(sessions.at(-1)!.tokens!);
    const error = await clients.sessions.listSessions({}, last).catch((thrown: unknown) => thrown);
    expect(stepUpOf(error)).toMatchObject({
      required: AssuranceLevel.AAL2,
      current: AssuranceLevel.AAL1,
      factors: [{ id: factorId, friendlyName: 'phone' }],
    });
    const { tokens } = await verifyCode(clients, last, factorId, codeOf(secret, service.now()));
    await clients.sessions.listSessions({}, bearer(tokens!));
  });

  test('the grace ends so many days after the creation of the user, in open sessions too', async () => {
    const service = await start({ env: { ...everyone, MFA_ENROLMENT_GRACE: '1' } });
    const { sessions } = service.clients(wire);
    const { as, tokens } = await service.welcome(verifiedAda);
    expect(tokens.factorRequired).toBe(false);
    await sessions.listSessions({}, as);
    expect(await isActive(service, tokens.accessToken)).toBe(true);
    service.pass(86_400 - 1800);
    const { tokens: later } = await sessions.refresh({ refreshToken: tokens.refreshToken });
    service.pass(1860);
    expect((await refusalOf(sessions.listSessions({}, bearer(later!)))).reason).toBe('FACTOR_REQUIRED');
    expect(await isActive(service, later!.accessToken)).toBe(false);
  });

  test('a removed factor restricts the sessions that it had raised', async () => {
    const service = await start({ env: everyone });
    const clients = service.clients(wire);
    const { as, user } = await service.welcome(verifiedAda);
    const { tokens } = await useApp(clients, as, service.now());
    await clients.sessions.listSessions({}, bearer(tokens!));
    await clients.admin.removeUserFactors({ userId: user.id }, asService);
    const refused = clients.sessions.listSessions({}, bearer(tokens!));
    expect((await refusalOf(refused)).reason).toBe('FACTOR_REQUIRED');
    expect(await isActive(service, tokens!.accessToken)).toBe(false);
    const next = await clients.sessions.refresh({ refreshToken: tokens!.refreshToken });
    expect(next.tokens!.factorRequired).toBe(true);
  });

  test('guests, impersonations and devices are exempt', async () => {
    const service = await start({ env: { ...everyone, MFA_REQUIRED_FOR: 'everyone' } });
    const clients = service.clients(wire);
    const guest = await clients.auth.signUpAnonymous({});
    expect(guest.tokens!.factorRequired).toBe(false);
    await clients.sessions.listSessions({}, bearer(guest.tokens!));
    const { as, user } = await service.welcome(verifiedAda);
    const raised = bearer((await useApp(clients, as, service.now())).tokens!);
    const { userCode, deviceCode } = await clients.devices.requestDeviceCode({ credential: 2 });
    await clients.devices.approveDevice({ userCode }, raised);
    const device = (await clients.devices.pollDeviceToken({ deviceCode })).tokens!;
    expect(device.factorRequired).toBe(false);
    expect(await isActive(service, device.accessToken)).toBe(true);
    const operator = await operatorAt2(service);
    const acting = await clients.admin.impersonateUser({ userId: user.id }, operator);
    expect(acting.tokens!.factorRequired).toBe(false);
    await clients.sessions.listSessions({}, bearer(acting.tokens!));
  });

  test('a restricted token stays restricted until a refresh, also when the factor is no longer required', async () => {
    const service = await start({ env: { MFA_REQUIRED_FOR: 'operators' } });
    const { sessions, admin } = service.clients(wire);
    const { user, tokens, as } = await service.operator();
    await admin.updateUser({ userId: user.id, role: SystemRole.ENGINEER }, asService);
    expect((await refusalOf(sessions.listSessions({}, as))).reason).toBe('FACTOR_REQUIRED');
    expect(await isActive(service, tokens.accessToken)).toBe(false);
    const { tokens: next } = await sessions.refresh({ refreshToken: tokens.refreshToken });
    expect(next!.factorRequired).toBe(false);
    await sessions.listSessions({}, bearer(next!));
    expect(await isActive(service, next!.accessToken)).toBe(true);
  });

  test('where operators must have a factor, a new one enrols it with the first session', async () => {
    const service = await start({ env: { MFA_REQUIRED_FOR: 'operators' } });
    const clients = service.clients(wire);
    const { as, tokens } = await service.welcome(verifiedAda);
    expect(tokens.factorRequired).toBe(false);
    await clients.sessions.listSessions({}, as);
    const { user } = await clients.admin.createUser({ ...bob, emailVerified: true }, asService);
    await clients.admin.updateUser({ userId: user!.id, role: SystemRole.OPERATOR }, asService);
    const operator = await service.signIn(bob);
    expect(operator.tokens.factorRequired).toBe(true);
    expect((await refusalOf(clients.admin.listUsers({}, operator.as))).reason).toBe('FACTOR_REQUIRED');
    const { tokens: raised } = await useApp(clients, operator.as, service.now());
    await clients.admin.listUsers({}, bearer(raised!));
  });
});

async function isActive(service: TestService, token: string): Promise<boolean> {
  const { sessions } = service.clients('json');
  const seen = [
    await sessions.introspect({ token }, asService),
    await sessions.introspect({ token, maxStaleness: { seconds: 5n } }, asService),
    await sessions.introspect({ token, maxStaleness: { seconds: 5n } }, asService),
  ];
  expect(new Set(seen.map(({ active }) => active)).size).toBe(1);
  return seen[0]!.active;
}

async function operatorAt2(service: TestService) {
  const { admin, mfa } = service.clients('json');
  const { user } = await admin.createUser({ ...bob, emailVerified: true }, asService);
  await admin.updateUser({ userId: user!.id, role: SystemRole.OPERATOR }, asService);
  const { tokens } = await useApp({ mfa }, (await service.signIn(bob)).as, service.now());
  return bearer(tokens!);
}
