// @serializable
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { OtpType } from '../../gen/gatehouse/v1/auth_pb.ts';
import { CodeChallengeMethod } from '../../gen/gatehouse/v1/oauth_pb.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { siteLink } from '../support/site-methods.ts';
import { bearer, start, wires } from '../support/start.ts';

const { email } = ada;
const verifier = 'a-verifier-of-more-than-43-characters-_-_-_-_-_';
const challenge = {
  codeChallenge: createHash('sha256').update(verifier).digest('base64url'),
  codeChallengeMethod: CodeChallengeMethod.S256,
};

/** Two replicas, whose calls of one method meet before they write. */
async function startRace(method: string) {
  const barrier = new Barrier(method);
  const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
  const { auth, admin } = service.clients('json');
  await admin.createUser({ ...ada, emailVerified: true }, asService);
  return { barrier, service, auth };
}

describe.each(wires)('over %s', (wire) => {
  test('of twenty uses of one link one opens a session', async () => {
    const { barrier, service, auth } = await startRace('VerifyOtp');
    await auth.requestMagicLink({ email, link: siteLink });
    const token = await tokenFor(service, email);
    barrier.expect(crowd);
    const use = { type: OtpType.MAGIC_LINK, token };
    const { answers, errors } = await together((n) => service.clients(wire, n).auth.verifyOtp(use));
    expect(answers).toHaveLength(1);
    expect(new Set(errors.map(reasonOf))).toEqual(new Set(['OTP_EXPIRED']));
    expect(await service.database.query('select from sessions')).toHaveLength(1);
  });

  test('of twenty exchanges of one code one opens a session', async () => {
    const { barrier, service, auth } = await startRace('ExchangeCode');
    await auth.requestMagicLink({ email, link: { ...siteLink, ...challenge } });
    const token = await tokenFor(service, email);
    const { exchangeCode } = await auth.verifyOtp({ type: OtpType.MAGIC_LINK, token, openedLink: true });
    service.ledger.keepSecret(exchangeCode);
    barrier.expect(crowd);
    const exchange = { exchangeCode, codeVerifier: verifier };
    const { answers, errors } = await together((n) => service.clients(wire, n).auth.exchangeCode(exchange));
    expect(answers).toHaveLength(1);
    expect(new Set(errors.map(reasonOf))).toEqual(new Set(['EXCHANGE_CODE_INVALID']));
    expect(await service.database.query('select from sessions')).toHaveLength(1);
  });

  test('of twenty requests for a link of an unknown address one registers it, and none reveals that', async () => {
    const { barrier, service } = await startRace('RequestMagicLink');
    barrier.expect(crowd);
    const request = { email: bob.email, link: siteLink, createUser: true };
    const { answers } = await together((n) => service.clients(wire, n).auth.requestMagicLink(request));
    expect(answers).toHaveLength(crowd);
    expect(await service.database.query(`select from users where email = '${bob.email}'`)).toHaveLength(1);
  });

  test('of two guests who set one address one gets it', async () => {
    const barrier = new Barrier('UpdateCredentials');
    const service = await start({
      ...{ replicas: 2, inner: [barrier.interceptor()] },
      env: { AUTO_CONFIRM_EMAIL: 'on', MAIL_GAP: '1s', MAIL_HOURLY_LIMIT: '1000' },
    });
    const guests = [await service.guest(), await service.guest()];
    const take = (n: number) =>
      service.clients(wire, n).auth.updateCredentials({ email, link: siteLink }, guests[n]!.as);
    barrier.expect(2);
    const first = await together(take, 2);
    expect(first.answers.length).toBeLessThanOrEqual(1);
    for (const error of first.errors)
      expect(['EMAIL_ALREADY_REGISTERED', 'MAIL_LIMIT_REACHED']).toContain(reasonOf(error));
    expect(await service.database.query(`select from users where email_key = '${email}'`)).toHaveLength(
      first.answers.length,
    );
  });
});

test('a value is refused for another type, and a mail without a link to the site is not for this method', async () => {
  const { service, auth } = await startRace('none');
  await auth.requestMagicLink({ email });
  const native = await tokenFor(service, email);
  const { reason } = await refusalOf(auth.verifyOtp({ type: OtpType.MAGIC_LINK, token: native }));
  expect(reason).toBe('OTP_EXPIRED');
  expect((await auth.signInWithMagicLink({ token: native })).user!.email).toBe(email);
  service.pass(61);
  await auth.requestMagicLink({ email, link: siteLink });
  const token = await tokenFor(service, email);
  for (const type of [OtpType.SIGNUP, OtpType.INVITE, OtpType.RECOVERY, OtpType.EMAIL_CHANGE])
    expect((await refusalOf(auth.verifyOtp({ type, token }))).reason).toBe('OTP_EXPIRED');
  const { tokens } = await auth.verifyOtp({ type: OtpType.EMAIL, token });
  expect((await auth.getMe({}, bearer(tokens!))).user!.email).toBe(email);
});

test('a link does not work for a banned user, and a code challenge comes with its method', async () => {
  const { service, auth } = await startRace('none');
  const { admin } = service.clients('json');
  await auth.requestMagicLink({ email, link: siteLink });
  const token = await tokenFor(service, email);
  const { users } = await admin.listUsers({ email }, asService);
  await admin.banUser({ userId: users[0]!.id }, asService);
  await admin.unbanUser({ userId: users[0]!.id }, asService);
  expect((await refusalOf(auth.verifyOtp({ type: OtpType.EMAIL, token }))).reason).toBe('OTP_EXPIRED');
  const { codeChallenge } = challenge;
  const half = { email, link: { ...siteLink, codeChallenge } };
  expect((await refusalOf(auth.requestMagicLink(half))).fields).toEqual(['link.code_challenge']);
});
