import type { Answer, Asked } from './asked.ts';
import { AuthError, invalid } from './auth-error.ts';
import { userWithFactors } from './factor-json.ts';
import { phoneIsOff } from './phone.ts';
import { sessionAnswer, tokensJson } from './session-json.ts';

/** POST /token?grant_type=password. */
export async function signIn(asked: Asked): Promise<Answer> {
  const { auth, body } = asked;
  const [email, phone, password] = [body.text('email'), body.text('phone'), body.text('password')];
  if (email && phone) throw invalid('Only an email address or phone number should be provided on login.');
  if (phone) throw phoneIsOff(422, 'Phone logins are disabled');
  if (!email) throw invalid('missing email or phone');
  // No user has an empty password.
  if (!password) throw new AuthError(400, 'invalid_credentials', 'Invalid login credentials');
  const { tokens } = await auth.signIn({ email, password, requireVerifiedEmail: true });
  return sessionAnswer(asked, tokens!);
}

/** POST /token?grant_type=refresh_token. */
export async function refresh({ sessions, body }: Asked): Promise<Answer> {
  const refreshToken = body.text('refresh_token');
  const { tokens, user, factors } = await sessions.refresh({ refreshToken, includeUser: true });
  return { body: { ...tokensJson(tokens!), user: userWithFactors(user!, factors) } };
}

/** POST /token?grant_type=pkce. */
export async function exchangeCode(asked: Asked): Promise<Answer> {
  const { auth, body } = asked;
  const [code, codeVerifier] = [body.text('auth_code'), body.text('code_verifier')];
  if (!code || !codeVerifier) throw invalid('invalid request: both auth code and code verifier should be non-empty');
  const { tokens, providerTokens } = await auth.exchangeCode({ exchangeCode: code, codeVerifier });
  return sessionAnswer(asked, tokens!, providerTokens);
}

export async function unsupportedGrant(): Promise<Answer> {
  throw new AuthError(400, 'invalid_credentials', 'unsupported_grant_type');
}

export async function web3(): Promise<Answer> {
  throw new AuthError(422, 'web3_provider_disabled', 'Web3 provider is disabled');
}
