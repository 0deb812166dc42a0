// @serializable
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ChangeSide } from '../../gen/gatehouse/v1/admin_pb.ts';
import { OtpType } from '../../gen/gatehouse/v1/auth_pb.ts';
import { CodeChallengeMethod } from '../../gen/gatehouse/v1/oauth_pb.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { siteLink } from '../support/site-methods.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';
import { adaAtAcme, oauthClient, startWithProvider } from './oauth/oauth.ts';

const thief = 'mallory@example.org';
const verifier = 'a-verifier-of-more-than-43-characters-_-_-_-_-_';
const change = OtpType.EMAIL_CHANGE;

/** The values of changes of an address that would still be taken. */
const pendingChanges = ({ database }: TestService) =>
  database.query(
    `select kind from one_time_tokens where kind like 'email_change%' and used_at is null and voided_at is null`,
  );

describe.each(wires)('over %s', (wire) => {
  test('an address that was requested with a token of the guest is worth nothing after the guest has registered', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const guest = await service.guest();
    await auth.updateCredentials({ email: thief, link: siteLink }, guest.as);
    const token = await tokenFor(service, thief);
    await auth.register(ada, guest.as);
    expect(await pendingChanges(service)).toEqual([]);
    await auth.verifyEmail({ token: await tokenFor(service, ada.email) });
    expect((await refusalOf(auth.verifyOtp({ type: change, token }))).reason).toBe('OTP_EXPIRED');
    expect((await service.signIn(ada)).user).toMatchObject({ email: ada.email, pendingEmail: '' });
  });

  test('a password that was set with a token of the guest is no password of the user who has linked an identity', async () => {
    const { service, provider } = await startWithProvider();
    const { link, auth } = oauthClient(service, provider, wire);
    const guest = await service.guest();
    const newPassword = 'a phrase of the thief';
    await auth.updateCredentials({ email: thief, newPassword, link: siteLink }, guest.as);
    const token = await tokenFor(service, thief);
    expect((await link(guest.as, adaAtAcme)).user).toMatchObject({ email: ada.email, pendingEmail: '' });
    expect(await pendingChanges(service)).toEqual([]);
    const refused = await refusalOf(auth.signIn({ email: ada.email, password: newPassword }));
    expect(refused.reason).toBe('USE_OAUTH_PROVIDER');
    expect((await refusalOf(auth.verifyOtp({ type: change, token }))).reason).toBe('OTP_EXPIRED');
  });

  test('the consent to one change of address does not count for another, nor for the same one later', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const { user } = await admin.createUser({ ...ada, emailVerified: true }, asService);
    const linkToken = async (email: string, newEmail: string, changeSide: ChangeSide) => {
      const about = { type: change, email, newEmail, changeSide, link: siteLink };
      return (await admin.generateLink(about, asService)).token;
    };
    const next = 'ada@example.net';
    await auth.verifyOtp({ type: change, token: await linkToken(ada.email, next, ChangeSide.CURRENT) });
    const other = await linkToken(ada.email, 'ada@example.com', ChangeSide.NEW);
    expect(await auth.verifyOtp({ type: change, token: other })).toMatchObject({ needsOtherConfirmation: true });
    await auth.verifyOtp({ type: change, token: await linkToken(ada.email, next, ChangeSide.CURRENT) });
    await auth.verifyOtp({ type: change, token: await linkToken(ada.email, next, ChangeSide.NEW) });
    const emailNow = async () => (await admin.getUser({ userId: user!.id }, asService)).user!.email;
    expect(await emailNow()).toBe(next);
    for (const side of [ChangeSide.CURRENT, ChangeSide.NEW]) {
      const back = await linkToken(next, ada.email, side);
      expect((await auth.verifyOtp({ type: change, token: back })).needsOtherConfirmation).toBe(
        side === ChangeSide.CURRENT,
      );
    }
    expect(await emailNow()).toBe(ada.email);
    const again = await linkToken(ada.email, next, ChangeSide.CURRENT);
    expect(await auth.verifyOtp({ type: change, token: again })).toMatchObject({ needsOtherConfirmation: true });
  });

  test('a new password voids the code that a browser would exchange, and a change of address', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const { user, as } = await service.welcome({ ...ada, emailVerified: true });
    const codeChallenge = createHash('sha256').update(verifier).digest('base64url');
    const challenge = { codeChallenge, codeChallengeMethod: CodeChallengeMethod.S256 };
    await auth.requestMagicLink({ email: ada.email, link: { ...siteLink, ...challenge } });
    const token = (await tokenFor(service, ada.email)).replace('pkce_', '');
    const { exchangeCode } = await auth.verifyOtp({ type: OtpType.EMAIL, token, openedLink: true });
    service.ledger.keepSecret(exchangeCode);
    await auth.changePassword({ currentPassword: ada.password, newPassword: bob.password }, as);
    const exchange = await refusalOf(auth.exchangeCode({ exchangeCode, codeVerifier: verifier }));
    expect(exchange.reason).toBe('EXCHANGE_CODE_INVALID');
    const signedIn = await service.signIn({ ...ada, password: bob.password });
    await auth.updateMe({ email: thief, currentPassword: bob.password }, signedIn.as);
    const mailed = await tokenFor(service, thief);
    await admin.updateUser({ userId: user.id, password: 'a phrase of the backend' }, asService);
    const late = await refusalOf(auth.confirmEmailChange({ token: mailed }));
    expect(late).toMatchObject({ reason: 'VERIFICATION_TOKEN_USED_OR_EXPIRED', metadata: { state: 'replaced' } });
    expect((await admin.getUser({ userId: user.id }, asService)).user!.pendingEmail).toBe('');
  });

  test('a password of the backend is compared with the words of the user, and ends a lock after failures', async () => {
    const service = await start({ env: { LIMITS: '*=off,AuthService.SignIn:consecutive=2' } });
    const { auth, admin } = service.clients(wire);
    const { user } = await admin.createUser(
      { ...ada, email: 'lovelace.ada@example.org', emailVerified: true },
      asService,
    );
    const email = user!.email;
    for (let n = 0; n < 3; n++) await refusalOf(auth.signIn({ email, password: 'wrong' }));
    expect((await refusalOf(auth.signIn({ email, password: ada.password }))).reason).toBe('OVER_REQUEST_RATE_LIMIT');
    const weak = await refusalOf(admin.updateUser({ userId: user!.id, password: `${email}1` }, asService));
    expect(weak.reason).toBe('WEAK_PASSWORD');
    await admin.updateUser({ userId: user!.id, password: bob.password }, asService);
    await auth.signIn({ email, password: bob.password });
  });

  test('a password of the backend ends a lock after failures to change the password', async () => {
    const service = await start({ env: { LIMITS: '*=off,AuthService.SignIn:consecutive=2' } });
    const { auth, admin } = service.clients(wire);
    const { as, user } = await service.welcome({ ...ada, emailVerified: true });
    const change = (currentPassword: string, by: typeof as) =>
      auth.changePassword({ currentPassword, newPassword: 'a phrase of ada herself' }, by);
    for (let n = 0; n < 2; n++) await refusalOf(change('wrong', as));
    expect((await refusalOf(change(ada.password, as))).reason).toBe('OVER_REQUEST_RATE_LIMIT');
    await admin.updateUser({ userId: user.id, password: bob.password }, asService);
    await change(bob.password, (await service.signIn({ ...ada, password: bob.password })).as);
  });

  test('a guest can set an address only where registration is enabled and needs no code', async () => {
    const rules = [
      [{ SIGN_UP: 'off' }, 'SIGN_UP_DISABLED'],
      [{ REQUIRE_INVITE_CODE: 'on' }, 'INVITE_CODE_REQUIRED'],
    ] as const;
    for (const [env, reason] of rules) {
      const service = await start({ env });
      const guest = await service.guest();
      const { auth } = service.clients(wire);
      const refused = await refusalOf(auth.updateCredentials({ email: ada.email, link: siteLink }, guest.as));
      expect(refused.reason).toBe(reason);
    }
  });

  test('a user of a provider who sets a password can remove it again', async () => {
    const { service, provider } = await startWithProvider();
    const { auth } = service.clients(wire);
    const idToken = await provider.idToken(adaAtAcme);
    const { tokens } = await auth.signInWithIdToken({ provider: 'acme', idToken });
    const as = bearer(tokens!);
    await auth.updateCredentials({ newPassword: bob.password }, as);
    expect((await auth.getMe({}, as)).user!.providers).toEqual(['acme', 'email']);
    await auth.unlinkIdentity({ email: true }, as);
    expect((await auth.getMe({}, as)).user!.providers).toEqual(['acme']);
  });

  test('ConfirmEmailChange does not take the value of a guest, whom VerifyOtp registers', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const guest = await service.guest();
    await auth.updateCredentials({ email: ada.email, link: siteLink }, guest.as);
    const token = await tokenFor(service, ada.email);
    expect((await refusalOf(auth.confirmEmailChange({ token }))).reason).toBe('VERIFICATION_TOKEN_INVALID');
    expect((await auth.verifyOtp({ type: change, token })).user).toMatchObject({
      isAnonymous: false,
      email: ada.email,
    });
  });
});
