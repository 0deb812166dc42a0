// @serializable
import { describe, expect, test } from 'vitest';
import { FactorType } from '../../gen/gatehouse/v1/factor_pb.ts';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { codeOf, useApp, verifyCode } from '../support/authenticator.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService } from '../support/people.ts';
import { Barrier, crowd, Pause, together } from '../support/race.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { bearer, type StartOptions, start, type TestService, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };

/** Two replicas, and ada with a factor and a session at AAL1. */
async function startWithFactor(options: StartOptions = {}) {
  const service = await start({ replicas: 2, env: { DATABASE_POOL_SIZE: '25' }, ...options });
  const { as } = await service.welcome(verifiedAda);
  const { factorId, secret, tokens } = await useApp(service.clients('json'), as, service.now());
  service.pass(30);
  const again = await service.signIn();
  return { service, factorId, secret, again, raised: bearer(tokens!), code: codeOf(secret, service.now()) };
}

const reasonsOf = (errors: readonly unknown[]) => [...new Set(errors.map(reasonOf))];

describe.each(wires)('over %s', (wire) => {
  test('of parallel verifications of one challenge with the right code one succeeds', async () => {
    const barrier = new Barrier('VerifyFactor');
    const { service, factorId, code, again } = await startWithFactor({ inner: [barrier.interceptor()] });
    const { challengeId } = await service.clients(wire).mfa.challengeFactor({ factorId }, again.as);
    const request = { factorId, challengeId, proof: { case: 'code', value: code } } as const;
    // A challenge admits five attempts.
    barrier.expect(5);
    const { answers, errors } = await together((n) => service.clients(wire, n).mfa.verifyFactor(request, again.as));
    expect(answers).toHaveLength(1);
    const losers = ['MFA_CHALLENGE_EXPIRED', 'MFA_VERIFICATION_FAILED', 'TOKEN_SUPERSEDED'];
    expect(reasonsOf(errors).filter((each) => !losers.includes(`${each}`))).toEqual([]);
    const events = await eventsOf(service, 'factor.verify');
    expect(events, 'the enrolment and one more').toBe(2);
  });

  test('one code in many challenges at once is used once', async () => {
    const barrier = new Barrier('VerifyFactor');
    const { service, factorId, code, again } = await startWithFactor({ inner: [barrier.interceptor()] });
    const { answers: challenges } = await together((n) =>
      service.clients(wire, n).mfa.challengeFactor({ factorId }, again.as),
    );
    barrier.expect(challenges.length);
    const { answers, errors } = await together((n) => {
      const { challengeId } = challenges[n]!;
      const proof = { case: 'code', value: code } as const;
      return service.clients(wire, n).mfa.verifyFactor({ factorId, challengeId, proof }, again.as);
    }, challenges.length);
    expect(answers).toHaveLength(1);
    expect(reasonsOf(errors)).toEqual(['MFA_VERIFICATION_FAILED']);
  });

  test('one recovery code in many challenges at once is used once', async () => {
    const barrier = new Barrier('VerifyFactor');
    const { service, raised, again } = await startWithFactor({ inner: [barrier.interceptor()] });
    const { codes, factor } = await service.clients(wire).mfa.generateRecoveryCodes({}, raised);
    const { id: factorId } = factor!;
    const { answers: challenges } = await together((n) =>
      service.clients(wire, n).mfa.challengeFactor({ factorId }, again.as),
    );
    barrier.expect(challenges.length);
    const { answers, errors } = await together((n) => {
      const { challengeId } = challenges[n]!;
      const proof = { case: 'code', value: codes[0]! } as const;
      return service.clients(wire, n).mfa.verifyFactor({ factorId, challengeId, proof }, again.as);
    }, challenges.length);
    expect(answers).toHaveLength(1);
    expect(reasonsOf(errors)).toEqual(['MFA_VERIFICATION_FAILED']);
    expect(await eventsOf(service, 'factor.verify')).toBe(2);
  });

  test.each(['the first codes', 'codes that replace others'])(
    'of parallel calls that name what they replace one returns %s, and they are the valid ones',
    async (which) => {
      const barrier = new Barrier('GenerateRecoveryCodes');
      const { service, raised, again } = await startWithFactor({ inner: [barrier.interceptor()] });
      const { mfa } = service.clients(wire);
      const earlier = which === 'the first codes' ? undefined : await mfa.generateRecoveryCodes({}, raised);
      const request = { replacesFactorId: earlier?.factor?.id ?? '' };
      barrier.expect(crowd);
      const { answers, errors } = await together((n) =>
        service.clients(wire, n).mfa.generateRecoveryCodes(request, raised),
      );
      expect([answers.length, reasonsOf(errors)]).toEqual([1, ['RECOVERY_CODES_CHANGED']]);
      const [{ codes, factor }] = answers as [(typeof answers)[0]];
      await verifyCode(service.clients(wire), again.as, factor!.id, codes[9]!);
    },
  );

  test('of parallel wrong codes for one challenge five are judged', async () => {
    const { service, factorId, again } = await startWithFactor();
    const { challengeId } = await service.clients(wire).mfa.challengeFactor({ factorId }, again.as);
    const proof = { case: 'code', value: '12345x' } as const;
    const { errors } = await together((n) =>
      service.clients(wire, n).mfa.verifyFactor({ factorId, challengeId, proof }, again.as),
    );
    const judged = errors.filter((each) => reasonOf(each) === 'MFA_VERIFICATION_FAILED');
    expect(judged.length).toBeLessThanOrEqual(5);
    expect(reasonsOf(errors)).not.toContain(undefined);
  });

  test('parallel enrolments respect the limit of ten', async () => {
    const barrier = new Barrier('EnrollFactor');
    const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
    const { as } = await service.welcome(verifiedAda);
    const enroll = (n: number, friendlyName: string) =>
      service.clients(wire, n).mfa.enrollFactor({ type: FactorType.TOTP, friendlyName }, as);
    for (let n = 0; n < 8; n++) await enroll(n, `phone ${n}`);
    barrier.expect(crowd);
    const { answers, errors } = await together((n) => enroll(n, `tablet ${n}`));
    expect(answers).toHaveLength(2);
    expect(reasonsOf(errors)).toEqual(['FACTOR_LIMIT_REACHED']);
    expect(await service.database.query('select 1 from factors')).toHaveLength(10);
  });

  test('a refresh that meets a verification never yields a token of the higher level for the old secret', async () => {
    const { service, factorId, code, again } = await startWithFactor();
    const { sessions } = service.clients(wire, 1);
    const [verified, refreshed] = await Promise.allSettled([
      verifyCode(service.clients(wire), again.as, factorId, code),
      sessions.refresh({ refreshToken: again.tokens.refreshToken }),
    ]);
    if (verified.status !== 'fulfilled') throw verified.reason;
    if (refreshed.status === 'fulfilled') {
      const { accessToken, refreshToken } = refreshed.value.tokens!;
      expect(await levelOf(service, accessToken)).toBe(AssuranceLevel.AAL1);
      const old = sessions.refresh({ refreshToken });
      expect((await refusalOf(old)).reason).toBe('REFRESH_TOKEN_SUPERSEDED');
    } else expect(reasonOf(refreshed.reason)).toBe('REFRESH_TOKEN_SUPERSEDED');
    const { accessToken, refreshToken } = verified.value.tokens!;
    expect(await levelOf(service, accessToken)).toBe(AssuranceLevel.AAL2);
    const next = await sessions.refresh({ refreshToken });
    expect(await levelOf(service, next.tokens!.accessToken)).toBe(AssuranceLevel.AAL2);
  });

  test('a reset that meets the first verification of a factor does not replace the password', async () => {
    const pause = new Pause('ResetPassword');
    const service = await start({ replicas: 2, inner: [pause.interceptor()] });
    const { auth } = service.clients(wire, 1);
    const { as } = await service.welcome(verifiedAda);
    await auth.requestPasswordReset({ email: ada.email });
    const token = await tokenFor(service, ada.email);
    const reached = pause.next();
    const resetting = auth.resetPassword({ token, newPassword: 'an entirely new phrase' }).catch((error) => error);
    await reached;
    await useApp(service.clients(wire), as, service.now());
    pause.resume();
    expect(reasonOf(await resetting)).toBe('INSUFFICIENT_AAL');
    await auth.signIn(ada);
    expect(await auth.verifyResetToken({ token })).toMatchObject({ valid: true, factorRequired: true });
  });

  test.each(['change', 'commit'] as const)('a sign-out that meets a verification before its %s wins', async (place) => {
    const pause = new Pause('VerifyFactor', place);
    const { service, factorId, code, again } = await startWithFactor({ inner: [pause.interceptor()] });
    const reached = pause.next();
    const verifying = verifyCode(service.clients(wire), again.as, factorId, code).catch((error: unknown) => error);
    await reached;
    const leaving = service.clients(wire, 1).sessions.signOut({ scope: SignOutScope.GLOBAL }, again.as);
    if (place === 'change') await leaving;
    else await service.database.blocked(1);
    pause.resume();
    await leaving;
    const outcome = await verifying;
    if (place === 'change') expect(reasonOf(outcome)).toBe('SESSION_REVOKED');
    else await requireDead(service, outcome as Awaited<ReturnType<typeof verifyCode>>);
  });

  test.each(['change', 'commit'] as const)(
    'a password change that meets a verification of another session before its %s wins',
    async (place) => {
      const pause = new Pause('VerifyFactor', place);
      const { service, factorId, code, again, raised } = await startWithFactor({ inner: [pause.interceptor()] });
      const reached = pause.next();
      const verifying = verifyCode(service.clients(wire), again.as, factorId, code).catch((error: unknown) => error);
      await reached;
      const passwords = { currentPassword: ada.password, newPassword: 'an entirely new phrase' };
      const changing = service.clients(wire, 1).auth.changePassword(passwords, raised);
      if (place === 'change') await changing;
      else await service.database.blocked(1);
      pause.resume();
      await changing;
      const outcome = await verifying;
      if (place === 'change') expect(reasonOf(outcome)).toBe('SESSION_REVOKED');
      else await requireDead(service, outcome as Awaited<ReturnType<typeof verifyCode>>);
    },
  );
});

/** Neither token of a verification that came too late is good. */
async function requireDead(service: TestService, { tokens }: Awaited<ReturnType<typeof verifyCode>>): Promise<void> {
  const { sessions } = service.clients('json');
  const { accessToken, refreshToken } = tokens!;
  expect((await sessions.introspect({ token: accessToken }, asService)).active).toBe(false);
  expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
}

async function levelOf(service: TestService, token: string): Promise<AssuranceLevel> {
  const { aal } = await service.clients('json').sessions.introspect({ token }, asService);
  return aal;
}

async function eventsOf({ database }: TestService, action: string): Promise<number> {
  const sql = `select count(*)::int as count from audit_events where action = $1 and result = 'SUCCESS'`;
  const [row] = await database.query<{ count: number }>(sql, [action]);
  return row!.count;
}
