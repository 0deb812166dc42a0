import type { JsonObject } from '@bufbuild/protobuf';
import type { ProviderTokens } from '../../../gen/gatehouse/v1/oauth_pb.ts';
import type { Tokens } from '../../../gen/gatehouse/v1/session_pb.ts';
import { type Answer, type Asked, withToken } from './asked.ts';
import { userWithFactors } from './factor-json.ts';

/** The response that signs a client in. */
export async function sessionAnswer(
  { auth }: Pick<Asked, 'auth'>,
  tokens: Tokens,
  providerTokens?: ProviderTokens,
): Promise<Answer> {
  const { user, factors } = await auth.getMe(wholeUser, withToken(tokens.accessToken));
  const shown = userWithFactors(user!, factors);
  return { body: { ...tokensJson(tokens), ...providerTokensJson(providerTokens), user: shown } };
}

/** What GetMe returns of a user. Clients of Supabase Auth know no accounts. */
export const wholeUser = { appMetadata: true, identities: true, factors: true, omitAccount: true };

/** The tokens of the provider that the user has just signed in with. */
export function providerTokensJson(tokens: ProviderTokens | undefined): JsonObject {
  if (!tokens) return {};
  const { accessToken, refreshToken } = tokens;
  return { provider_token: accessToken, ...(refreshToken && { provider_refresh_token: refreshToken }) };
}

/** The members about the session itself. */
export function tokensJson({ accessToken, refreshToken, expiresIn, expireTime }: Tokens): JsonObject {
  return {
    access_token: accessToken,
    token_type: 'bearer',
    expires_in: Number(expiresIn!.seconds),
    expires_at: Number(expireTime!.seconds),
    refresh_token: refreshToken,
  };
}
