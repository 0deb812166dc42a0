import { type Answer, type Asked, withBearer } from './asked.ts';
import { AuthError, invalidGrant } from './auth-error.ts';
import { reasonOf } from './errors.ts';
import { nameOfIssuer, providerIsOff, providerNamed } from './provider-names.ts';
import { emailIsUnverified } from './providers.ts';
import { sessionAnswer } from './session-json.ts';

/** POST /token?grant_type=id_token. With `link_identity` the identity is linked to the user who calls. */
export async function signInWithIdToken(asked: Asked): Promise<Answer> {
  const { auth, body } = asked;
  const [idToken, issuer, clientId] = [body.text('id_token'), body.text('issuer'), body.text('client_id')];
  const named = body.text('provider');
  if (!idToken) throw invalidGrant('id_token required');
  if (!named && !(issuer && clientId)) throw invalidGrant('provider or client_id and issuer required');
  const name = named || (nameOfIssuer(issuer) ?? '');
  const provider = providerNamed(name);
  if (!provider) throw providerIsOff(name, named ? undefined : issuer);
  const request = { provider, idToken, nonce: body.text('nonce'), accessToken: body.text('access_token') };
  try {
    const { tokens } = body.flag('link_identity')
      ? await auth.linkIdentity({ ...request, signIn: true }, withBearer(asked))
      : await auth.signInWithIdToken(request);
    if (!tokens) throw emailIsUnverified();
    return await sessionAnswer(asked, tokens);
  } catch (thrown) {
    throw explain(thrown, name);
  }
}

function explain(thrown: unknown, name: string): unknown {
  if (thrown instanceof AuthError) return thrown;
  const reason = reasonOf(thrown);
  if (reason === 'ID_TOKEN_INVALID') return invalidGrant('Bad ID token');
  return reason === 'OAUTH_PROVIDER_NOT_FOUND' ? providerIsOff(name) : thrown;
}
