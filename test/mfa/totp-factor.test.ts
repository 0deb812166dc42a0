import { describe, expect, test } from 'vitest';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { codeOf, enrollApp, useApp, verifyCode } from '../support/authenticator.ts';
import { ada, asService } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };

describe.each(wires)('over %s', (wire) => {
  test('an enrolled factor changes nothing until it is verified', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { factor, totp } = await clients.mfa.enrollFactor({ type: 1, friendlyName: 'phone' }, as);
    expect(factor).toMatchObject({ friendlyName: 'phone', verified: false });
    expect(totp!.secret).toMatch(/^[A-Z2-7]{32}$/);
    expect(totp!.uri).toBe(
      `otpauth://totp/gatehouse.test:ada%40example.org?issuer=gatehouse.test&secret=${totp!.secret}&algorithm=SHA1&digits=6&period=30`,
    );
    expect(totp!.qrCode).toMatch(/^<svg /);
    expect(await clients.mfa.getAssurance({}, as)).toMatchObject({
      currentAal: AssuranceLevel.AAL1,
      nextAal: AssuranceLevel.AAL1,
      factors: [],
    });
  });

  test('a verified factor raises the same session, and supersedes its earlier refresh token', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as, tokens, session } = await service.welcome(verifiedAda);
    const { factorId, ...verified } = await useApp(clients, as, service.now());
    expect(verified.session).toMatchObject({ id: session.id, aal: AssuranceLevel.AAL2 });
    expect(verified.session!.amr.map(({ method }) => method)).toEqual(['totp', 'password']);
    const raised = bearer(verified.tokens!);
    expect(await clients.mfa.getAssurance({}, raised)).toMatchObject({
      currentAal: AssuranceLevel.AAL2,
      factors: [{ id: factorId }],
    });
    expect(await clients.mfa.getAssurance({}, as)).toMatchObject({ currentAal: AssuranceLevel.AAL1 });
    const old = clients.sessions.refresh({ refreshToken: tokens.refreshToken });
    expect((await refusalOf(old)).reason).toBe('REFRESH_TOKEN_SUPERSEDED');
    const next = await clients.sessions.refresh({ refreshToken: verified.tokens!.refreshToken });
    const token = next.tokens!.accessToken;
    expect(await clients.sessions.introspect({ token }, asService)).toMatchObject({ aal: AssuranceLevel.AAL2 });
  });

  test('a code works once, and a wrong one never', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { factorId, secret } = await enrollApp(clients, as);
    const code = codeOf(secret, service.now());
    const wrong = code.replace(/^./, (digit) => `${(Number(digit) + 1) % 10}`);
    expect((await refusalOf(verifyCode(clients, as, factorId, wrong))).reason).toBe('MFA_VERIFICATION_FAILED');
    await verifyCode(clients, as, factorId, code);
    expect((await refusalOf(verifyCode(clients, as, factorId, code))).reason).toBe('MFA_VERIFICATION_FAILED');
    const later = new Date(service.now().getTime() + 30_000);
    await verifyCode(clients, as, factorId, codeOf(secret, later));
  });

  test('a user with a factor needs it for what the contract says', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    await useApp(clients, as, service.now());
    const refusal = await refusalOf(clients.devices.createApiKey({ name: 'x' }, as));
    expect(refusal).toMatchObject({ reason: 'INSUFFICIENT_AAL' });
  });

  test('recovery codes stand in for a factor, each once', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { tokens } = await useApp(clients, as, service.now());
    const raised = bearer(tokens!);
    const { codes, factor } = await clients.mfa.generateRecoveryCodes({}, raised);
    expect(new Set(codes).size).toBe(10);
    const again = bearer((await clients.auth.signIn(ada)).tokens!);
    const verified = await verifyCode(clients, again, factor!.id, codes[0]!.toLowerCase().replaceAll('-', ' '));
    expect(verified.session!.amr.map(({ method }) => method)).toEqual(['recovery_code', 'password']);
    const used = verifyCode(clients, bearer(verified.tokens!), factor!.id, codes[0]!);
    expect((await refusalOf(used)).reason).toBe('MFA_VERIFICATION_FAILED');
    const { factors } = await clients.mfa.listFactors({}, bearer(verified.tokens!));
    expect(factors.find(({ id }) => id === factor!.id)).toMatchObject({ remainingCodes: 9 });
  });

  test('an unenrolled factor is gone, and its session falls to AAL1', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { factorId, tokens } = await useApp(clients, as, service.now());
    const raised = bearer(tokens!);
    expect((await refusalOf(clients.mfa.unenrollFactor({ factorId }, as))).reason).toBe('INSUFFICIENT_AAL');
    await clients.mfa.unenrollFactor({ factorId }, raised);
    expect(await clients.mfa.getAssurance({}, raised)).toMatchObject({
      currentAal: AssuranceLevel.AAL1,
      nextAal: AssuranceLevel.AAL1,
      factors: [],
    });
  });
});
