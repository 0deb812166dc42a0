import { randomBytes } from 'node:crypto';
import { lastMail } from './inbox.ts';
import { ada, asService } from './people.ts';
import { reasonOf } from './refusal.ts';
import { type StartOptions, start, type TestService, type Wire } from './start.ts';

/** The contract's limits of wrong codes apply. Budgets of calls are tested elsewhere. */
export const unlimitedCalls = 'AuthService.SignInWithMagicLink=off,AuthService.RequestMagicLink=off';

/** The reason of the refusal of every code that is not accepted. */
export const refused = 'OTP_EXPIRED';

export const unknownEmail = 'nobody@example.org';

export const makeNonce = () => randomBytes(16).toString('base64url');

/** Two replicas with ada, whose address is verified, and functions that request codes and sign in with them. */
export async function startForCodes(wire: Wire, { env, ...options }: StartOptions = {}) {
  const service = await start({
    replicas: 2,
    env: { LIMITS: unlimitedCalls, TRUSTED_PROXY_HOPS: '1', MAIL_HOURLY_LIMIT: '1000', ...env },
    ...options,
  });
  await service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);
  const requestCode = async (clientNonce = makeNonce(), email = ada.email) => {
    await service.clients(wire).auth.requestMagicLink({ email, clientNonce });
    return clientNonce;
  };
  const signIn = (
    code: string,
    clientNonce: string,
    { email = ada.email, from = '203.0.113.7', replica = 0 }: { email?: string; from?: string; replica?: number } = {},
  ) => {
    const options = { headers: { 'x-forwarded-for': from } };
    return service.clients(wire, replica).auth.signInWithMagicLink({ code: { email, code, clientNonce } }, options);
  };
  type Where = Parameters<typeof signIn>[2];
  /** Tries a code. Returns OK or the reason of the refusal. */
  const tryCode = (code: string, nonce: string, where?: Where) => signIn(code, nonce, where).then(() => 'OK', reasonOf);
  return { service, requestCode, signIn, tryCode, auth: service.clients(wire).auth };
}

/** The code and the token of the link in the last mail. */
export async function mailed(service: TestService, email = ada.email) {
  const { text, token } = await lastMail(service, email);
  return { code: /^\d{6}$/m.exec(text)![0], token };
}

/** Another code than this one. */
export const otherCode = (code: string, n = 1) => `${(Number(code) + n) % 1_000_000}`.padStart(6, '0');

/** How often each code was tried, from the oldest to the newest. */
export const triesOf = ({ database }: TestService) =>
  database.query<{ tries: number | null }>('select code_tries as tries from one_time_tokens order by created_at');
