import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { AdminService } from '../../gen/gatehouse/v1/admin_pb.ts';
import { AuthService, OtpType } from '../../gen/gatehouse/v1/auth_pb.ts';
import { DeviceService } from '../../gen/gatehouse/v1/device_pb.ts';
import { MfaService } from '../../gen/gatehouse/v1/mfa_pb.ts';
import { CodeChallengeMethod } from '../../gen/gatehouse/v1/oauth_pb.ts';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { SessionService, type Tokens } from '../../gen/gatehouse/v1/session_pb.ts';
import { adaAtAcme, clientNonce, oauthClient, startWithProvider } from '../auth/oauth/oauth.ts';
import { codeOf, useApp } from '../support/authenticator.ts';
import { deviceFlow, forSession } from '../support/device-flow.ts';
import { lastMail, tokenFor } from '../support/inbox.ts';
import { ada } from '../support/people.ts';
import { bearer, type Wire, wires } from '../support/start.ts';

const { email } = ada;
const link = { redirectTo: 'http://gatehouse.test/' };
const codeVerifier = 'v'.repeat(64);
const pkce = {
  codeChallenge: createHash('sha256').update(codeVerifier).digest('base64url'),
  codeChallengeMethod: CodeChallengeMethod.S256,
};

/** Ada, who has a factor, an identity of acme and a device that she trusts. A factor is required. */
async function withDevice(wire: Wire) {
  const env = { MFA_REQUIRED_FOR: 'everyone', MAIL_GAP: '0s' };
  const { service, provider } = await startWithProvider({ env });
  const clients = service.clients(wire);
  const { as } = await service.welcome({ ...ada, emailVerified: true });
  const { factorId, secret, tokens } = await useApp(clients, as, service.now());
  service.pass(30);
  const raised = bearer(tokens!);
  const { challengeId } = await clients.mfa.challengeFactor({ factorId }, raised);
  const proof = { case: 'code' as const, value: codeOf(secret, service.now()) };
  const verified = await clients.mfa.verifyFactor({ factorId, challengeId, proof, trustDevice: true }, raised);
  const client = oauthClient(service, provider, wire);
  return { ...clients, service, provider, client, as: bearer(verified.tokens!), token: verified.trustedDeviceToken };
}

type Prepared = Awaited<ReturnType<typeof withDevice>>;
type SignedIn = { readonly trustedDevice: boolean; readonly tokens?: Tokens };
type Way = (prepared: Prepared, trustedDeviceToken: string) => Promise<SignedIn>;

const codeIn = async ({ service }: Prepared) => /^\d{6}$/m.exec((await lastMail(service, email)).text)![0];
const bound = { email, clientNonce: 'a-nonce-that-one-browser-has' };

const ways: Record<string, Way> = {
  SignIn: ({ auth }, trustedDeviceToken) => auth.signIn({ ...ada, trustedDeviceToken }),
  async SignInWithMagicLink({ auth, service }, trustedDeviceToken) {
    await auth.requestMagicLink({ email });
    return auth.signInWithMagicLink({ token: await tokenFor(service, email), trustedDeviceToken });
  },
  async 'SignInWithMagicLink with a code'(prepared, trustedDeviceToken) {
    const { auth } = prepared;
    await auth.requestMagicLink(bound);
    const code = { ...bound, code: await codeIn(prepared) };
    return auth.signInWithMagicLink({ code, trustedDeviceToken });
  },
  async VerifyOtp({ auth, service }, trustedDeviceToken) {
    await auth.requestMagicLink({ email, link });
    const token = await tokenFor(service, email);
    return auth.verifyOtp({ type: OtpType.MAGIC_LINK, token, trustedDeviceToken });
  },
  async 'VerifyOtp with a code'(prepared, trustedDeviceToken) {
    await prepared.auth.requestMagicLink({ email, link });
    const code = { email, code: await codeIn(prepared) };
    return prepared.auth.verifyOtp({ type: OtpType.EMAIL, code, trustedDeviceToken });
  },
  async 'ExchangeCode after a mail'({ auth, service }, trustedDeviceToken) {
    await auth.requestMagicLink({ email, link: { ...link, ...pkce } });
    const token = await tokenFor(service, email);
    const { exchangeCode } = await auth.verifyOtp({ type: OtpType.MAGIC_LINK, token, openedLink: true });
    return auth.exchangeCode({ exchangeCode, codeVerifier, trustedDeviceToken });
  },
  FinishOAuth: ({ client }, trustedDeviceToken) => client.signIn(adaAtAcme, {}, { trustedDeviceToken }),
  async 'ExchangeCode after a provider'({ client, provider, auth }, trustedDeviceToken) {
    const { authorizationUrl } = await client.begin({ ...pkce, clientNonce: '', unbound: true });
    const { exchangeCode } = await auth.finishOAuth(provider.consent(authorizationUrl, adaAtAcme));
    return auth.exchangeCode({ exchangeCode, codeVerifier, trustedDeviceToken });
  },
  async 'FinishOAuth of a link'({ auth, provider, as }, trustedDeviceToken) {
    const { authorizationUrl } = await auth.startIdentityLink({ provider: 'acme', clientNonce }, as);
    const finishing = { ...provider.consent(authorizationUrl, adaAtAcme), clientNonce, signIn: true };
    return auth.finishOAuth({ ...finishing, trustedDeviceToken });
  },
  async 'ExchangeCode of a link'({ auth, provider, as }, trustedDeviceToken) {
    const { authorizationUrl } = await auth.startIdentityLink({ provider: 'acme', unbound: true, ...pkce }, as);
    const { exchangeCode } = await auth.finishOAuth({ ...provider.consent(authorizationUrl, adaAtAcme), signIn: true });
    return auth.exchangeCode({ exchangeCode, codeVerifier, trustedDeviceToken });
  },
  async SignInWithIdToken({ auth, provider }, trustedDeviceToken) {
    const idToken = await provider.idToken({ ...adaAtAcme, nonce: undefined });
    return auth.signInWithIdToken({ provider: 'acme', idToken, trustedDeviceToken });
  },
  async LinkIdentity({ auth, provider, as }, trustedDeviceToken) {
    const idToken = await provider.idToken({ ...adaAtAcme, nonce: undefined });
    return auth.linkIdentity({ provider: 'acme', idToken, signIn: true, trustedDeviceToken }, as);
  },
};

/** A mail to a mailbox that somebody else may read by now, and the sessions of other machines. */
const untrusted: Record<string, Way> = {
  async 'VerifyOtp of a recovery'({ auth, service }, trustedDeviceToken) {
    await auth.requestPasswordReset({ email, link });
    const token = await tokenFor(service, email);
    return auth.verifyOtp({ type: OtpType.RECOVERY, token, trustedDeviceToken });
  },
  async 'ExchangeCode of a recovery'({ auth, service }, trustedDeviceToken) {
    await auth.requestPasswordReset({ email, link: { ...link, ...pkce } });
    const token = await tokenFor(service, email);
    const { exchangeCode } = await auth.verifyOtp({ type: OtpType.RECOVERY, token, openedLink: true });
    return auth.exchangeCode({ exchangeCode, codeVerifier, trustedDeviceToken });
  },
};

describe.each(wires)('over %s', (wire) => {
  test.each(Object.entries(ways))('a trusted device is not asked for a factor by %s', async (_, signIn) => {
    const prepared = await withDevice(wire);
    const { mfa, token } = prepared;
    const trusted = await signIn(prepared, token);
    expect(trusted.trustedDevice).toBe(true);
    expect(trusted.tokens!.factorRequired).toBe(false);
    const assurance = await mfa.getAssurance({}, bearer(trusted.tokens!));
    expect(assurance).toMatchObject({ currentAal: AssuranceLevel.AAL1, trustedDevice: true });
    const altered = await signIn(prepared, `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`);
    expect(altered.trustedDevice).toBe(false);
    expect(altered.tokens!.factorRequired).toBe(true);
  });

  test.each(Object.entries(untrusted))('%s is no sign-in of a trusted device', async (_, signIn) => {
    const prepared = await withDevice(wire);
    const signedIn = await signIn(prepared, prepared.token);
    expect([signedIn.trustedDevice, signedIn.tokens!.factorRequired]).toEqual([false, true]);
    expect((await ways['SignIn']!(prepared, prepared.token)).trustedDevice, 'the trust goes on').toBe(true);
  });

  test('a device that was approved on a trusted device is not trusted itself', async () => {
    const { service, mfa, as } = await withDevice(wire);
    const flow = deviceFlow(service, wire);
    const { userCode, deviceCode } = await flow.request(forSession);
    await flow.approve(userCode, as);
    const { tokens } = await flow.poll(deviceCode);
    expect(await mfa.getAssurance({}, bearer(tokens!))).toMatchObject({
      currentAal: AssuranceLevel.AAL1,
      trustedDevice: false,
    });
  });
});

test('every method that opens a session of a person takes the token of a trusted device', () => {
  const methods = [AuthService, SessionService, MfaService, DeviceService, AdminService].flatMap(
    (each) => each.methods,
  );
  const opening = methods.filter(({ output }) => output.field['tokens'] !== undefined);
  const names = (takes: boolean) =>
    opening.filter(({ input }) => (input.field['trustedDeviceToken'] !== undefined) === takes).map(({ name }) => name);
  const taking = Object.keys(ways).map((each) => each.split(' ', 1)[0]!);
  expect(names(true).toSorted()).toEqual([...new Set(taking)].toSorted());
  expect(names(false).toSorted(), 'a new user, a session that goes on, another machine, AAL2 or a recovery').toEqual(
    [
      ...['Register', 'SignUpAnonymous', 'ChangePassword', 'SignInWithResetToken', 'Refresh', 'VerifyFactor'],
      ...['FinishPasskeySignIn', 'ImpersonateUser', 'ClaimCliGuest'],
      ...['PollCliLogin', 'PollDeviceToken', 'PollFingerprintLogin'],
    ].toSorted(),
  );
});
