import type { JsonObject } from '@bufbuild/protobuf';
import type { Tokens } from '../../../gen/gatehouse/v1/session_pb.ts';
import { type Answer, type Asked, withToken } from './asked.ts';
import { userWithFactors } from './factor-json.ts';

/** The response that signs a client in. */
export async function sessionAnswer({ auth }: Pick<Asked, 'auth'>, tokens: Tokens): Promise<Answer> {
  const bearer = withToken(tokens.accessToken);
  const { user, factors } = await auth.getMe({ appMetadata: true, factors: true }, bearer);
  return { body: { ...tokensJson(tokens), user: userWithFactors(user!, factors) } };
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
