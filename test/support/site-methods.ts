import { createHash } from 'node:crypto';
import type { JsonObject } from '@bufbuild/protobuf';
import { OtpType } from '../../gen/gatehouse/v1/auth_pb.ts';
import { CodeChallengeMethod } from '../../gen/gatehouse/v1/oauth_pb.ts';
import { lastMail, tokenFor } from './inbox.ts';
import type { Run } from './methods.ts';
import { asService } from './people.ts';
import { bearer, type TestService, type Wire } from './start.ts';

/** A mail whose link leads to /auth/v1. */
export const siteLink = { redirectTo: 'http://gatehouse.test/' };

const verifier = 'v'.repeat(64);
const challenge = {
  codeChallenge: createHash('sha256').update(verifier).digest('base64url'),
  codeChallengeMethod: CodeChallengeMethod.S256,
};

type Person = { email: string; password: string; name: string };

/** The most statements of each method, begin and commit of a transaction included. */
export const siteCosts: Record<string, number> = {
  'RequestMagicLink (new user)': 11,
  'VerifyOtp (code)': 13,
  VerifyOtp: 11,
  'VerifyOtp (recovery)': 17,
  'VerifyOtp (exchange)': 7,
  ExchangeCode: 10,
  'UpdateCredentials (password)': 15,
  'UpdateCredentials (email)': 15,
  Reauthenticate: 9,
  'UpdateCredentials (code)': 18,
  ResendEmailChange: 12,
  'VerifyOtp (first mailbox)': 7,
  'VerifyOtp (second mailbox)': 20,
  InviteUser: 9,
  'VerifyOtp (invite)': 24,
  GenerateLink: 6,
  'GenerateLink (email)': 8,
  'UpdateUser (password)': 13,
  'ListUsers (count)': 4,
};

async function codeFor(service: TestService, address: string): Promise<string> {
  return /^\d{6}$/m.exec((await lastMail(service, address)).text)![0];
}

/** The methods of mails whose links lead to the site. */
export async function callSiteMethods(service: TestService, wire: Wire, step: Run): Promise<void> {
  const { auth, admin } = service.clients(wire);
  const link = siteLink;
  const [email, next] = ['trudy@example.org', 'trudy@example.com'];
  await step('RequestMagicLink (new user)', () => auth.requestMagicLink({ email, link, createUser: true }));
  const code = { email, code: await codeFor(service, email) };
  const type = OtpType.EMAIL;
  const first = await step('VerifyOtp (code)', () => auth.verifyOtp({ type: OtpType.MAGIC_LINK, code }));
  const as = bearer(first.tokens!);
  service.pass(61);
  await auth.requestMagicLink({ email, link });
  const token = await tokenFor(service, email);
  await step('VerifyOtp', () => auth.verifyOtp({ type, token }));
  await auth.requestPasswordReset({ email, link });
  const recovery = { type: OtpType.RECOVERY, token: await tokenFor(service, email), newPassword: 'a first phrase' };
  const recovered = bearer((await step('VerifyOtp (recovery)', () => auth.verifyOtp(recovery))).tokens!);
  service.pass(61);
  await auth.requestMagicLink({ email, link: { ...link, ...challenge } });
  const opened = { type, token: (await tokenFor(service, email)).replace('pkce_', ''), openedLink: true };
  const { exchangeCode } = await step('VerifyOtp (exchange)', () => auth.verifyOtp(opened));
  await step('ExchangeCode', () => auth.exchangeCode({ exchangeCode, codeVerifier: verifier }));
  const newPassword = 'a second phrase';
  await step('UpdateCredentials (password)', () => auth.updateCredentials({ newPassword }, recovered));
  await step('UpdateCredentials (email)', () => auth.updateCredentials({ email: next, link }, recovered));
  await step('Reauthenticate', () => auth.reauthenticate({}, recovered));
  const reauthenticationCode = await codeFor(service, email);
  await service.database.query(`update sessions set amr = jsonb_set(amr, '{0,timestamp}', '1700000000')`);
  await step('UpdateCredentials (code)', () =>
    auth.updateCredentials({ newPassword: 'a third phrase', reauthenticationCode }, recovered),
  );
  service.pass(61);
  // The new password has voided the change.
  await auth.updateCredentials({ email: next, link }, recovered);
  service.pass(61);
  await step('ResendEmailChange', () => auth.resendEmailChange({ email, link }));
  const approval = await tokenFor(service, email);
  const change = OtpType.EMAIL_CHANGE;
  await step('VerifyOtp (first mailbox)', () => auth.verifyOtp({ type: change, token: approval }));
  const typed = { email: next, code: await codeFor(service, next) };
  await step('VerifyOtp (second mailbox)', () => auth.verifyOtp({ type: change, code: typed }));
  const invited = 'victor@example.org';
  await step('InviteUser', () => admin.inviteUser({ email: invited, link }, asService));
  const invitation = { type: OtpType.INVITE, token: await tokenFor(service, invited) };
  await step('VerifyOtp (invite)', () => auth.verifyOtp(invitation));
  const generate = { type: OtpType.RECOVERY, email: next, link };
  await step('GenerateLink', () => admin.generateLink(generate, asService));
  const moving = { type: change, email: next, newEmail: 'trudy@example.net', link };
  await step('GenerateLink (email)', () => admin.generateLink(moving, asService));
  const userId = first.user!.id;
  await step('UpdateUser (password)', () => admin.updateUser({ userId, password: 'a fourth phrase' }, asService));
  await step('ListUsers (count)', () => admin.listUsers({ count: true, skip: 1 }, asService));
  await auth.getMe({}, as).catch(() => {});
}

/** Samples of the same methods. */
export function siteSamples(service: TestService, newcomer: () => Person) {
  const { auth, admin } = service.clients('json');
  const headers: Record<string, Record<string, string>> = {};
  const own = async (method: string) => {
    const person = { ...newcomer(), emailVerified: true };
    headers[`AuthService.${method}`] = (await service.welcome(person)).as.headers;
    return person;
  };
  const requests: Record<string, () => JsonObject | Promise<JsonObject>> = {
    'AuthService.VerifyOtp': async () => {
      const { email } = newcomer();
      await auth.requestMagicLink({ email, link: siteLink, createUser: true });
      return { type: 'OTP_TYPE_EMAIL', token: await tokenFor(service, email) };
    },
    'AuthService.ExchangeCode': async () => {
      const { email } = newcomer();
      await auth.requestMagicLink({ email, link: { ...siteLink, ...challenge }, createUser: true });
      const token = (await tokenFor(service, email)).replace('pkce_', '');
      const { exchangeCode } = await auth.verifyOtp({ type: OtpType.EMAIL, token, openedLink: true });
      service.ledger.keepSecret(exchangeCode);
      return { exchangeCode, codeVerifier: verifier };
    },
    'AuthService.UpdateCredentials': async () => {
      await own('UpdateCredentials');
      return { newPassword: 'quite another phrase', userMetadata: { theme: 'dark' }, link: siteLink };
    },
    'AuthService.ResendEmailChange': () => ({ email: newcomer().email, link: siteLink }),
    'AuthService.Reauthenticate': async () => {
      await own('Reauthenticate');
      return {};
    },
    'AdminService.InviteUser': () => ({ email: newcomer().email, userMetadata: { team: 'a' }, link: siteLink }),
    'AdminService.GenerateLink': async () => {
      const { email } = newcomer();
      await admin.createUser({ email }, asService);
      return { type: 'OTP_TYPE_RECOVERY', email, link: siteLink };
    },
  };
  return { requests, headersOf: (name: string) => headers[name] };
}
