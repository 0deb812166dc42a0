// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { lastMail, rejectionLinkFor, tokenFor } from '../support/inbox.ts';
import { pathOfLink, visitor } from '../support/page.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { reasonOf, refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

describe.each(wires)('over %s', (wire) => {
  test('the second link of the verification mail removes the registration, once, and frees the address', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { user } = await auth.register(ada);
    const other = await service.welcome(bob);
    const { as } = await service.signIn(ada);
    const { token } = await rejectionLinkFor(service, ada.email);
    const verifying = await tokenFor(service, ada.email);
    await auth.rejectRegistration({ token });
    expect((await refusalOf(auth.getMe({}, as))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(auth.signIn(ada))).reason).toBe('INVALID_CREDENTIALS');
    expect((await refusalOf(auth.verifyEmail({ token: verifying }))).reason).toBe('VERIFICATION_TOKEN_USED_OR_EXPIRED');
    const again = () => auth.rejectRegistration({ token });
    expect(await refusalWithoutTrace(service.database, again)).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'VERIFICATION_TOKEN_USED_OR_EXPIRED',
    });
    await auth.getMe({}, other.as);
    const events = `select user_id, result from audit_events where action = 'auth.registration_reject'`;
    expect(await service.database.query(events)).toEqual([{ user_id: user!.id, result: 'SUCCESS' }]);
    const anew = await auth.register(ada);
    expect(anew.user!.id).not.toBe(user!.id);
  });

  test.each(['VerifyEmail', 'the magic link', 'a backend'])('an address that %s has verified stays', async (by) => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const { user } = await auth.register(ada);
    const { token } = await rejectionLinkFor(service, ada.email);
    const userId = user!.id;
    if (by === 'VerifyEmail') await auth.verifyEmail({ token: await tokenFor(service, ada.email) });
    else if (by === 'a backend') {
      await admin.updateUser({ userId, emailVerified: true }, asService);
      await admin.updateUser({ userId, emailVerified: false }, asService);
    } else {
      await auth.requestMagicLink({ email: ada.email });
      await auth.signInWithMagicLink({ token: await tokenFor(service, ada.email) });
    }
    const reject = () => auth.rejectRegistration({ token });
    expect(await refusalWithoutTrace(service.database, reject)).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'EMAIL_ALREADY_VERIFIED',
    });
    expect((await admin.getUser({ userId }, asService)).user!.email).toBe(ada.email);
  });

  test('the tokens of the two links are not taken for each other, and a newer mail voids the older links', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    await auth.register(ada);
    const [first, verifying] = [await rejectionLinkFor(service, ada.email), await tokenFor(service, ada.email)];
    for (const call of [
      () => auth.rejectRegistration({ token: verifying }),
      () => auth.verifyEmail({ token: first.token }),
      () => auth.rejectRegistration({ token: `ghot_${'A'.repeat(32)}` }),
    ])
      expect((await refusalWithoutTrace(service.database, call)).reason).toBe('VERIFICATION_TOKEN_INVALID');
    expect((await refusalOf(auth.rejectRegistration({}))).reason).toBe('TOKEN_REQUIRED');
    service.pass(61);
    await auth.sendVerificationEmail({ email: ada.email });
    const second = await rejectionLinkFor(service, ada.email);
    expect((await refusalOf(auth.rejectRegistration(first))).reason).toBe('VERIFICATION_TOKEN_USED_OR_EXPIRED');
    await auth.rejectRegistration({ token: second.token });
  });

  test('a user whom an operator gave an address is not removed by its owner', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const { user } = await service.welcome(ada);
    await admin.updateUser({ userId: user.id, email: bob.email }, asService);
    await auth.sendVerificationEmail({ email: bob.email });
    const { token } = await rejectionLinkFor(service, bob.email);
    expect((await refusalOf(auth.rejectRegistration({ token }))).reason).toBe('EMAIL_ALREADY_VERIFIED');
  });

  test('of parallel rejections one succeeds, and of a rejection and a verification either', async () => {
    const barrier = new Barrier('RejectRegistration');
    const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
    await service.clients(wire).auth.register(ada);
    const { token } = await rejectionLinkFor(service, ada.email);
    barrier.expect(crowd);
    const { answers, errors } = await together((i) => service.clients(wire, i).auth.rejectRegistration({ token }));
    expect(answers).toHaveLength(1);
    expect(new Set(errors.map(reasonOf))).toEqual(new Set(['VERIFICATION_TOKEN_USED_OR_EXPIRED']));
    for (let round = 0; round < 5; round++) {
      const email = `round${round}@example.org`;
      await service.clients(wire).auth.register({ ...ada, email });
      const [rejecting, verifying] = [await rejectionLinkFor(service, email), await tokenFor(service, email)];
      const [rejected, verified] = await Promise.allSettled([
        service.clients(wire).auth.rejectRegistration({ token: rejecting.token }),
        service.clients(wire, 1).auth.verifyEmail({ token: verifying }),
      ]);
      expect([rejected.status, verified.status].sort()).toEqual(['fulfilled', 'rejected']);
    }
  });
});

test.each([
  ['en', 'Remove this registration', 'The registration is removed'],
  ['de', 'Registrierung löschen', 'Die Registrierung ist gelöscht'],
])('in %s the page of the link changes nothing until its button is pressed', async (language, heading, done) => {
  const service = await start({ env: { MAIL_LOCALE: language } });
  await service.clients('json').auth.register(ada);
  const { link, token } = await rejectionLinkFor(service, ada.email);
  const { html } = await lastMail(service, ada.email);
  expect(html).toContain(`<a href="${link}" style=`);
  const visit = visitor(service);
  const path = pathOfLink(link);
  const before = await service.database.checksums();
  for (const method of ['GET', 'HEAD', 'GET']) expect((await visit.open(path, {}, method)).status, method).toBe(200);
  const page = await visit.open(path);
  expect(page).toMatchObject({ heading, form: { token } });
  expect(page.text).not.toContain('<script');
  expect(await service.database.checksums()).toEqual(before);
  expect(await visit.post('/reject-registration', page.form!)).toMatchObject({ status: 200, heading: done });
  expect((await visit.post('/reject-registration', page.form!)).status).toBe(410);
});
