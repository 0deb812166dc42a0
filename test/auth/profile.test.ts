import { toJsonString } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { GetMeResponseSchema } from '../../gen/gatehouse/v1/auth_pb.ts';
import { mailsTo, tokenFor } from '../support/inbox.ts';
import { ada, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

describe.each(wires)('over %s', (wire) => {
  test('GetMe returns the caller without any trace of the password hash', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { user, as } = await service.welcome();
    const response = await auth.getMe({}, as);
    expect(response.user).toEqual({ ...user, userMetadata: {} });
    expect(toJsonString(GetMeResponseSchema, response)).not.toMatch(/argon2|hash/i);
    expect(await refusalOf(auth.getMe({}))).toMatchObject({
      code: Code.Unauthenticated,
      reason: 'AUTHENTICATION_REQUIRED',
    });
  });

  test('GetMe leaves out the account on request, and nothing else', async () => {
    const service = await start();
    const { auth, sessions, devices } = service.clients(wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const asked = { appMetadata: true, identities: true, factors: true };
    const whole = await auth.getMe(asked, as);
    expect(whole.account?.account?.role).toBeDefined();
    expect(await auth.getMe({ ...asked, omitAccount: true }, as)).toEqual({ ...whole, account: undefined });
    const bare = await auth.getMe({}, as);
    expect(await auth.getMe({ omitAccount: true }, as)).toEqual({ ...bare, account: undefined });
    const { secret } = await devices.createApiKey({ name: 'a program' }, as);
    const program = { headers: { authorization: `Bearer ${secret}` } };
    expect((await auth.getMe({ omitAccount: true }, program)).account).toBeUndefined();
    expect((await auth.getMe({}, program)).account).toEqual(bare.account);
    await sessions.signOut({}, as);
    expect((await refusalOf(auth.getMe({ omitAccount: true }, as))).reason).toBe('SESSION_REVOKED');
  });

  test('only the fields that are sent change, and an update that changes nothing writes nothing', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { as } = await service.welcome();
    const full = {
      name: 'Countess',
      phone: '+44 20 7946',
      jobTitle: 'Analyst',
      timezone: 'Europe/London',
      locale: 'en',
    };
    expect((await auth.updateMe(full, as)).user).toMatchObject({ ...full, email: ada.email });
    expect((await auth.updateMe({ phone: '' }, as)).user).toMatchObject({ ...full, phone: '' });
    expect((await auth.updateMe({ jobTitle: 'Programmer' }, as)).user).toMatchObject({
      ...full,
      phone: '',
      jobTitle: 'Programmer',
    });
    const before = await service.database.checksums();
    for (const nothing of [{}, { jobTitle: 'Programmer' }, { email: ada.email }, { currentPassword: 'x' }])
      await auth.updateMe(nothing, as);
    expect(await service.database.checksums()).toEqual(before);
    const rows = await service.database.query(`select 1 from audit_events where action = 'auth.profile_update'`);
    expect(rows).toHaveLength(3);
  });

  test.each([
    ['timezone', 'Mars/Olympus'],
    ['timezone', 'x'.repeat(65)],
    ['locale', '../../etc'],
    ['locale', 'en;q=1'],
    ['phone', 'call me'],
    ['email', 'a@example.org,b@example.org'],
    ['email', '"a" <b@example.org>'],
    ['email', 'no address'],
  ])('%s cannot be set to %s', async (field, value) => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { as } = await service.welcome();
    const refusal = await refusalOf(auth.updateMe({ [field]: value, currentPassword: ada.password }, as));
    expect(refusal).toMatchObject({ code: Code.InvalidArgument, reason: 'INVALID_ARGUMENT', fields: [field] });
  });

  test('after a user has deleted themselves every sign-in and link is refused, and the address is free', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { as, tokens, user } = await service.welcome();
    const { as: asBob } = await service.welcome(bob);
    const links: Record<string, string> = {};
    await auth.requestPasswordReset({ email: ada.email });
    links.reset = await tokenFor(service, ada.email);
    await auth.requestMagicLink({ email: ada.email });
    links.magic = await tokenFor(service, ada.email);
    await auth.sendVerificationEmail({}, as);
    links.verification = await tokenFor(service, ada.email);
    const sent = (await mailsTo(service, ada.email)).length;
    expect((await refusalOf(auth.deleteMe({}))).reason).toBe('AUTHENTICATION_REQUIRED');
    await auth.deleteMe({}, as);
    expect((await refusalOf(auth.getMe({}, as))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(auth.signIn(ada))).reason).toBe('INVALID_CREDENTIALS');
    expect(await auth.verifyResetToken({ token: links.reset })).toMatchObject({ valid: false });
    expect((await refusalOf(auth.signInWithMagicLink({ token: links.magic }))).reason).toBe('OTP_EXPIRED');
    expect((await refusalOf(auth.verifyEmail({ token: links.verification }))).reason).toBe(
      'VERIFICATION_TOKEN_USED_OR_EXPIRED',
    );
    service.pass(61);
    await auth.requestMagicLink({ email: ada.email });
    await auth.requestPasswordReset({ email: ada.email });
    expect(await mailsTo(service, ada.email)).toHaveLength(sent);
    await auth.getMe({}, asBob);
    const again = await auth.register(ada);
    expect(again.user!.id).not.toBe(user.id);
    const rows = await service.database.query(`select user_id from audit_events where action = 'user.delete'`);
    expect(rows).toEqual([{ user_id: user.id }]);
  });

  test('DeleteMe requires a sign-in within the last ten minutes', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { as } = await service.welcome();
    service.pass(601);
    expect((await refusalOf(auth.deleteMe({}, as))).reason).toBe('REAUTHENTICATION_REQUIRED');
    const fresh = await service.signIn();
    await auth.deleteMe({}, fresh.as);
  });

  test('GetSettings returns which ways to sign in are on', async () => {
    const open = await start();
    const shut = await start({ env: { SIGN_UP: 'off', AUTO_CONFIRM_EMAIL: 'on', PASSWORD_MIN_LENGTH: '12' } });
    const providers = { google: false, github: false, azure: false, gitlab: false, bitbucket: false, discord: false };
    expect(await open.clients(wire).auth.getSettings({})).toMatchObject({
      ...{ external: providers, disableSignup: false, mailerAutoconfirm: false, smsProvider: '', mfaEnabled: true },
      ...{ anonymousUsersEnabled: true, emailVerificationEnabled: true, passwordMinLength: 8 },
    });
    expect(await shut.clients(wire).auth.getSettings({})).toMatchObject({
      ...{ disableSignup: true, mailerAutoconfirm: true, passwordMinLength: 12 },
    });
  });
});
