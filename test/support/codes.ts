import { randomBytes } from 'node:crypto';
import { lastMail } from './inbox.ts';
import { ada, asService } from './people.ts';
import { reasonOf } from './refusal.ts';
import { type StartOptions, start, type TestService, type Wire } from './start.ts';

/** The contract's numbers of wrong codes apply; how often one address may call is tested elsewhere. */
export const unlimitedCalls = 'AuthService.SignInWithMagicLink=off,AuthService.RequestMagicLink=off';

/** How a code ends that is none. */
export const dead = 'OTP_EXPIRED';

export const unknown = 'nobody@example.org';

export const makeNonce = () => randomBytes(16).toString('base64url');

/** Two replicas, ada with a proved address, and ways to ask for codes and to type them. */
export async function openToCodes(wire: Wire, { env, ...options }: StartOptions = {}) {
  const service = await start({
    replicas: 2,
    env: { LIMITS: unlimitedCalls, TRUSTED_PROXY_HOPS: '1', MAIL_HOURLY_LIMIT: '1000', ...env },
    ...options,
  });
  await service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);
  const ask = async (clientNonce = makeNonce(), email = ada.email) => {
    await service.clients(wire).auth.requestMagicLink({ email, clientNonce });
    return clientNonce;
  };
  const enter = (
    code: string,
    clientNonce: string,
    { email = ada.email, from = '203.0.113.7', replica = 0 }: { email?: string; from?: string; replica?: number } = {},
  ) => {
    const options = { headers: { 'x-forwarded-for': from } };
    return service.clients(wire, replica).auth.signInWithMagicLink({ code: { email, code, clientNonce } }, options);
  };
  type Where = Parameters<typeof enter>[2];
  /** How it ends. */
  const type = (code: string, nonce: string, where?: Where) => enter(code, nonce, where).then(() => 'OK', reasonOf);
  return { service, ask, enter, type, auth: service.clients(wire).auth };
}

/** The code and the token of the link in the last mail. */
export async function mailed(service: TestService, email = ada.email) {
  const { text, token } = await lastMail(service, email);
  return { code: /^\d{6}$/m.exec(text)![0], token };
}

/** Another code. */
export const wrong = (code: string, n = 1) => `${(Number(code) + n) % 1_000_000}`.padStart(6, '0');

/** How often each code was tried, the oldest first. */
export const triesOf = ({ database }: TestService) =>
  database.query<{ tries: number | null }>('select code_tries as tries from one_time_tokens order by created_at');
