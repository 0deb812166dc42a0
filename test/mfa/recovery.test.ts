import { describe, expect, test } from 'vitest';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { codeOf, useApp, verifyCode } from '../support/authenticator.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };
const newPassword = 'an entirely new phrase';
const env = { MAIL_GAP: '0s' };

describe.each(wires)('over %s', (wire) => {
  test('a reset link alone does not replace the password of a user with a factor, and stays valid', async () => {
    const service = await start({ env });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { factorId, secret } = await useApp(clients, as, service.now());
    await clients.auth.requestPasswordReset({ email: ada.email });
    const token = await tokenFor(service, ada.email);
    expect(await clients.auth.verifyResetToken({ token })).toMatchObject({ valid: true, factorRequired: true });
    const refusal = await refusalOf(clients.auth.resetPassword({ token, newPassword }));
    expect(refusal).toMatchObject({ code: 7, reason: 'INSUFFICIENT_AAL', metadata: { required_aal: 'aal2' } });
    const empty = clients.auth.resetPassword({ token });
    expect((await refusalOf(empty)).reason, 'before a password is read').toBe('INSUFFICIENT_AAL');
    expect(await clients.auth.signIn(ada)).toMatchObject({ session: { aal: AssuranceLevel.AAL1 } });
    const { tokens, session } = await clients.auth.signInWithResetToken({ token });
    expect(session).toMatchObject({ aal: AssuranceLevel.AAL1, amr: [{ method: 'recovery' }] });
    const recovering = bearer(tokens!);
    const early = clients.auth.changePassword({ newPassword }, recovering);
    expect((await refusalOf(early)).reason).toBe('INSUFFICIENT_AAL');
    service.pass(30);
    const verified = await verifyCode(clients, recovering, factorId, codeOf(secret, service.now()));
    expect(verified.session!.amr.map(({ method }) => method)).toEqual(['totp', 'recovery']);
    await clients.auth.changePassword({ newPassword }, bearer(verified.tokens!));
    await clients.auth.signIn({ ...ada, password: newPassword });
    expect((await refusalOf(clients.auth.signIn(ada))).reason).toBe('INVALID_CREDENTIALS');
    const used = clients.auth.signInWithResetToken({ token });
    expect((await refusalOf(used)).reason).toBe('RESET_TOKEN_USED_OR_EXPIRED');
  });

  test('a recovery code stands in for the factor in a recovery', async () => {
    const service = await start({ env });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { tokens: first } = await useApp(clients, as, service.now());
    const { codes, factor } = await clients.mfa.generateRecoveryCodes({}, bearer(first!));
    await clients.auth.requestPasswordReset({ email: ada.email });
    const token = await tokenFor(service, ada.email);
    const { tokens } = await clients.auth.signInWithResetToken({ token });
    const raised = await verifyCode(clients, bearer(tokens!), factor!.id, codes[3]!);
    await clients.auth.changePassword({ newPassword }, bearer(raised.tokens!));
    await clients.auth.signIn({ ...ada, password: newPassword });
  });

  test('a user without a factor replaces the password in a session of the reset link, for ten minutes', async () => {
    const service = await start({ env });
    const { auth } = service.clients(wire);
    await service.welcome(verifiedAda);
    const recover = async () => {
      await auth.requestPasswordReset({ email: ada.email });
      const { tokens } = await auth.signInWithResetToken({ token: await tokenFor(service, ada.email) });
      return bearer(tokens!);
    };
    const late = await recover();
    service.pass(601);
    expect((await refusalOf(auth.changePassword({ newPassword }, late))).reason).toBe('CURRENT_PASSWORD_REQUIRED');
    const { user } = await auth.changePassword({ newPassword }, await recover());
    expect(user!.email).toBe(ada.email);
    await auth.signIn({ ...ada, password: newPassword });
  });

  test('no other session replaces the password without the current one', async () => {
    const service = await start({ env });
    const { auth } = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    await auth.requestMagicLink({ email: ada.email });
    const { tokens } = await auth.signInWithMagicLink({ token: await tokenFor(service, ada.email) });
    for (const session of [as, bearer(tokens!)])
      expect((await refusalOf(auth.changePassword({ newPassword }, session))).reason).toBe('CURRENT_PASSWORD_REQUIRED');
    await auth.signIn(ada);
  });

  test('a magic link opens a session at AAL1 for a user with a factor', async () => {
    const service = await start({ env });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    await useApp(clients, as, service.now());
    await clients.auth.requestMagicLink({ email: ada.email });
    const token = await tokenFor(service, ada.email);
    const { session, tokens } = await clients.auth.signInWithMagicLink({ token });
    expect(session).toMatchObject({ aal: AssuranceLevel.AAL1 });
    const change = clients.auth.changePassword({ currentPassword: ada.password, newPassword }, bearer(tokens!));
    expect((await refusalOf(change)).reason).toBe('INSUFFICIENT_AAL');
  });

  test('recovery codes that are named are replaced, and others are not', async () => {
    const service = await start({ env });
    const { mfa } = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { factorId, tokens } = await useApp(service.clients(wire), as, service.now());
    const raised = bearer(tokens!);
    const generate = async (replacesFactorId?: string) =>
      (await mfa.generateRecoveryCodes({ ...(replacesFactorId !== undefined && { replacesFactorId }) }, raised))
        .factor!;
    const refused = async (replacesFactorId: string) => (await refusalOf(generate(replacesFactorId))).reason;
    const first = await generate('');
    expect(await refused(''), 'the user has codes by now').toBe('RECOVERY_CODES_CHANGED');
    const second = await generate(first.id.toUpperCase());
    for (const other of [first.id, factorId, crypto.randomUUID()])
      expect(await refused(other), other).toBe('RECOVERY_CODES_CHANGED');
    expect(await refused('none')).toBe('INVALID_ARGUMENT');
    const { factors } = await mfa.listFactors({}, raised);
    expect(factors.map(({ id, remainingCodes }) => [id, remainingCodes])).toEqual([
      [factorId, 0],
      [second.id, 10],
    ]);
    expect((await generate()).id, 'without a name they are replaced').not.toBe(second.id);
  });

  test('the first proof of a mailbox removes the factors of who registered its address', async () => {
    const service = await start({ env: { ...env, EMAIL_VERIFICATION: 'off' } });
    const clients = service.clients(wire);
    const { as, user } = await service.welcome(ada);
    const { factorId } = await useApp(clients, as, service.now());
    await clients.auth.requestMagicLink({ email: ada.email });
    const token = await tokenFor(service, ada.email);
    const owner = bearer((await clients.auth.signInWithMagicLink({ token })).tokens!);
    expect(await clients.mfa.getAssurance({}, owner)).toMatchObject({ nextAal: AssuranceLevel.AAL1, factors: [] });
    expect((await refusalOf(clients.mfa.challengeFactor({ factorId }, owner))).reason).toBe('FACTOR_NOT_FOUND');
    expect((await clients.admin.listUserFactors({ userId: user.id }, asService)).factors).toEqual([]);
    const { events } = await clients.admin.listAuditEvents({ action: 'user.remove_factors' }, asService);
    expect(events).toMatchObject([{ userId: user.id }]);
  });

  test('a deleted user leaves no factor, no recovery code and no secret behind', async () => {
    const service = await start({ env });
    const clients = service.clients(wire);
    const { as, user } = await service.welcome(verifiedAda);
    const { tokens } = await useApp(clients, as, service.now());
    await clients.mfa.generateRecoveryCodes({}, bearer(tokens!));
    await clients.auth.deleteMe({}, bearer(tokens!));
    const { user: other, as: asOther } = await service.welcome({ ...ada, emailVerified: true });
    await useApp(clients, asOther, service.now());
    await clients.admin.deleteUser({ userId: other.id }, asService);
    const left = await service.database.query(
      'select id from factors union all select id from recovery_codes union all select id from users where factor_count > 0',
    );
    expect(left).toEqual([]);
    expect(user.id).not.toBe(other.id);
  });
});
