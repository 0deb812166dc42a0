import { emailIdentityId } from '../../text/sign-in-providers.ts';
import { type Answer, type Asked, withBearer } from './asked.ts';
import { pathId } from './path-id.ts';
import { leadTo, startOf } from './providers.ts';

/** GET /user/identities/authorize. The page that calls cannot keep a cookie: only PKCE binds the link to its browser. */
export async function authorizeLink(asked: Asked): Promise<Answer> {
  const bearer = withBearer(asked);
  const { authorizationUrl } = await asked.auth.startIdentityLink({ ...startOf(asked), unbound: true }, bearer);
  return leadTo(asked, authorizationUrl);
}

/** DELETE /user/identities/{identity_id}. The address is an identity too. */
export async function unlink(asked: Asked): Promise<Answer> {
  const { auth } = asked;
  const bearer = withBearer(asked);
  const identityId = pathId(asked, 'id', 'identity_id').toLowerCase();
  const { user } = await auth.getMe({ omitAccount: true }, bearer);
  const isAddress = identityId === emailIdentityId(user!.id);
  await auth.unlinkIdentity(isAddress ? { email: true } : { identityId }, bearer);
  return { body: {} };
}
