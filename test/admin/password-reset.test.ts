// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { ActorKind, AuditResult } from '../../gen/gatehouse/v1/admin_pb.ts';
import { mailsTo, tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { reasonOf, refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const newPassword = 'the second difference';

describe.each(wires)('over %s', (wire) => {
  test('an operator sends a user a password-reset mail, and the response does not hold its link', async () => {
    const service = await start();
    const { admin, auth } = service.clients(wire);
    const operator = await service.operator();
    const { user, as } = await service.welcome(ada);
    const answer = await admin.sendPasswordReset({ userId: user.id }, operator.as);
    expect({ ...answer, $typeName: '' }).toEqual({ $typeName: '' });
    const [mail, ...others] = await mailsTo(service, ada.email);
    expect(others).toEqual([]);
    expect(mail).toMatchObject({ subject: 'Reset your password', link: expect.stringContaining('/reset-password?') });
    await auth.getMe({}, as);
    await service.signIn(ada);
    await auth.resetPassword({ token: mail!.token, newPassword });
    await service.signIn({ ...ada, password: newPassword });
    const { events } = await admin.listAuditEvents({ action: 'user.send_password_reset' }, operator.as);
    expect(events).toMatchObject([
      {
        actorKind: ActorKind.USER,
        actorId: operator.user.id,
        userId: user.id,
        result: AuditResult.SUCCESS,
        sessionId: operator.session.id,
      },
    ]);
  });

  test('a backend sends it to a user without a password, who sets their first one', async () => {
    const service = await start();
    const { admin, auth } = service.clients(wire);
    const { user } = await admin.createUser({ email: ada.email }, asService);
    await admin.sendPasswordReset({ userId: user!.id.toUpperCase() }, asService);
    await auth.resetPassword({ token: await tokenFor(service, ada.email), newPassword });
    await service.signIn({ ...ada, password: newPassword });
    const { events } = await admin.listAuditEvents({ action: 'user.send_password_reset' }, asService);
    expect(events).toMatchObject([{ actorKind: ActorKind.SERVICE, actorId: 'backend', userId: user!.id }]);
  });

  test('a newer link voids the older one, by whichever method it was sent', async () => {
    const service = await start({ env: { MAIL_GAP: '0s' } });
    const { admin, auth } = service.clients(wire);
    const { user } = await service.welcome(ada);
    await auth.requestPasswordReset({ email: ada.email });
    const token = await tokenFor(service, ada.email);
    await admin.sendPasswordReset({ userId: user.id }, asService);
    expect(await auth.verifyResetToken({ token })).toMatchObject({ valid: false });
    const newer = await tokenFor(service, ada.email);
    expect(await auth.verifyResetToken({ token: newer })).toMatchObject({ valid: true, email: ada.email });
  });

  test('other callers are refused, and so are users who cannot be reached, with the reason', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const operator = await service.operator();
    const [own, other] = [await service.welcome(ada), await service.welcome(bob)];
    const impersonated = await admin.impersonateUser({ userId: other.user.id }, operator.as);
    const { user: guest, as: asGuest } = await service.guest();
    const { user: gone } = await admin.createUser({ email: 'gone@example.org' }, asService);
    await admin.deleteUser({ userId: gone!.id }, asService);
    const { user: banned } = await admin.createUser({ email: 'banned@example.org' }, asService);
    await admin.banUser({ userId: banned!.id }, asService);
    const { PermissionDenied, NotFound, FailedPrecondition, InvalidArgument } = Code;
    for (const [userId, as, code, reason] of [
      [own.user.id, own.as, PermissionDenied, 'CALLER_NOT_ALLOWED'],
      [own.user.id, asGuest, PermissionDenied, 'CALLER_NOT_ALLOWED'],
      [own.user.id, bearer(impersonated.tokens!), PermissionDenied, 'IMPERSONATION_NOT_ALLOWED'],
      ['00000000-0000-7000-8000-00000000dead', operator.as, NotFound, 'USER_NOT_FOUND'],
      [gone!.id, operator.as, NotFound, 'USER_NOT_FOUND'],
      [guest.id, operator.as, FailedPrecondition, 'USER_WITHOUT_EMAIL'],
      [banned!.id, operator.as, PermissionDenied, 'USER_BANNED'],
      ['ada', operator.as, InvalidArgument, 'INVALID_ARGUMENT'],
    ] as const) {
      const ask = () => admin.sendPasswordReset({ userId }, as);
      expect(await refusalWithoutTrace(service.database, ask)).toMatchObject({ code, reason });
    }
    expect(await service.database.query('select from mail_outbox')).toEqual([]);
  });

  test('an address receives no more mails than its budget, and the refusal says when to retry', async () => {
    const service = await start({ env: { MAIL_HOURLY_LIMIT: '3' } });
    const { admin, auth } = service.clients(wire);
    const { user } = await service.welcome(ada);
    const ask = () => admin.sendPasswordReset({ userId: user.id }, asService);
    await auth.requestPasswordReset({ email: ada.email });
    const tooSoon = await refusalOf(ask());
    expect(tooSoon).toMatchObject({ code: Code.ResourceExhausted, reason: 'MAIL_LIMIT_REACHED' });
    expect(tooSoon.retryAfter).toBeGreaterThan(30);
    expect(tooSoon.retryAfter).toBeLessThanOrEqual(60);
    for (let n = 0; n < 2; n++) {
      // A mail that has not been sent would be cancelled for the next one.
      await mailsTo(service, ada.email);
      service.pass(61);
      await ask();
    }
    expect(await mailsTo(service, ada.email)).toHaveLength(3);
    service.pass(61);
    const { retryAfter } = await refusalOf(ask());
    expect(retryAfter).toBeGreaterThan(3000);
    service.pass(retryAfter!);
    await ask();
    expect(await mailsTo(service, ada.email)).toHaveLength(4);
  });

  test('of parallel calls for one user one sends the mail', async () => {
    const barrier = new Barrier('SendPasswordReset');
    const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
    const { user } = await service.welcome(ada);
    barrier.expect(crowd);
    const { answers, errors } = await together((i) =>
      service.clients(wire, i).admin.sendPasswordReset({ userId: user.id }, asService),
    );
    expect(answers).toHaveLength(1);
    expect(errors.map(reasonOf)).toEqual(Array(crowd - 1).fill('MAIL_LIMIT_REACHED'));
    expect(await mailsTo(service, ada.email)).toHaveLength(1);
  });

  test('with MAIL_MODE off the call is refused', async () => {
    const service = await start({ env: { MAIL_MODE: 'off' } });
    const { user } = await service.welcome(ada);
    const ask = () => service.clients(wire).admin.sendPasswordReset({ userId: user.id }, asService);
    expect(await refusalWithoutTrace(service.database, ask)).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'MAIL_DISABLED',
    });
  });
});
