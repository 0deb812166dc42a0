import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { SystemRole } from '../../gen/gatehouse/v1/user_pb.ts';
import { mailsTo } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

const heidi = { email: 'heidi@example.org', password: 'a watchful operator', name: 'Heidi' };

describe.each(wires)('over %s', (wire) => {
  test('an operator changes neither address, verification nor password of another operator; a service key does', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const { as } = await service.operator();
    const other = await service.operator(heidi);
    const userId = other.user.id;
    for (const change of [
      { email: 'grace+heidi@example.org' },
      { email: 'grace+heidi@example.org', emailVerified: true },
      { email: heidi.email.toUpperCase() },
      { emailVerified: true },
      { emailVerified: false },
      { mustChangePassword: true },
      { mustChangePassword: false },
      { role: SystemRole.ENGINEER, email: 'grace+heidi@example.org' },
    ])
      expect(
        await refusalWithoutTrace(service.database, () => admin.updateUser({ userId, ...change }, as)),
        JSON.stringify(change),
      ).toMatchObject({ code: Code.PermissionDenied, reason: 'CALLER_NOT_ALLOWED' });
    await admin.updateUser({ userId, name: 'Adelheid' }, as);
    await admin.updateUser({ userId, email: 'heidi@example.com', mustChangePassword: true }, other.as);
    const { user } = await admin.updateUser({ userId, emailVerified: true }, asService);
    expect(user).toMatchObject({ email: 'heidi@example.com', emailVerified: true, name: 'Adelheid' });
  });

  test('an address that an operator sets starts unverified, stays so for operators, and the old address is notified', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const { as } = await service.operator();
    const { user } = await service.welcome({ ...ada, emailVerified: true });
    const userId = user.id;
    const moved = await admin.updateUser({ userId, email: bob.email, emailVerified: true }, as);
    expect(moved.user).toMatchObject({ email: bob.email, emailVerified: false });
    expect((await mailsTo(service, ada.email)).map(({ subject }) => subject)).toEqual([
      'Your e-mail address was changed',
    ]);
    expect((await refusalOf(admin.updateUser({ userId, emailVerified: true }, as))).reason).toBe('CALLER_NOT_ALLOWED');
    expect((await admin.updateUser({ userId, emailVerified: true }, asService)).user!.emailVerified).toBe(true);
    const by = await admin.updateUser({ userId, email: ada.email, emailVerified: true }, asService);
    expect(by.user!.emailVerified).toBe(true);
  });

  test('an operator vouches for no address, and the password of a user whom they create has to be changed', async () => {
    const service = await start();
    const { admin, auth } = service.clients(wire);
    const { as } = await service.operator();
    const { user } = await admin.createUser({ ...ada, emailVerified: true }, as);
    expect(user).toMatchObject({ emailVerified: false, mustChangePassword: true });
    const signedIn = await service.signIn(ada);
    for (const call of [
      () => auth.updateMe({ name: 'Ada' }, signedIn.as),
      () => auth.sendVerificationEmail({}, signedIn.as),
      () => auth.verifyEmail({ token: 'x' }, signedIn.as),
      () => auth.confirmEmailChange({ token: 'x' }, signedIn.as),
      () => auth.register(bob, signedIn.as),
    ])
      expect(await refusalWithoutTrace(service.database, call)).toMatchObject({ reason: 'PASSWORD_CHANGE_REQUIRED' });
    expect((await admin.createUser({ email: bob.email }, as)).user!.mustChangePassword).toBe(false);
    const { user: heir } = await admin.createUser({ ...heidi, emailVerified: true }, asService);
    expect(heir).toMatchObject({ emailVerified: true, mustChangePassword: false });
  });
});
