import type { JsonObject, JsonValue } from '@bufbuild/protobuf';

interface Shown {
  readonly identity: string;
  readonly state: string;
  readonly session: JsonObject;
}

/** The values of fields about sign-ins with a provider. */
export function valuesOfProviders({
  identity,
  state,
  session,
}: Shown): Readonly<Record<string, JsonValue | undefined>> {
  return {
    'SignInProvider.name': 'google',
    'SignInProvider.label': 'Google',
    'SignInProvider.posts_callback': false,
    'ExternalProviders.google': true,
    'StartOAuthResponse.authorization_url': `https://accounts.google.com/o/oauth2/v2/auth?state=${state}`,
    'StartOAuthResponse.expire_time': '2026-11-28T09:35:00Z',
    'StartIdentityLinkResponse.authorization_url': `https://github.com/login/oauth/authorize?state=${state}`,
    'StartIdentityLinkResponse.expire_time': '2026-11-28T09:35:00Z',
    'Identity.id': identity,
    'Identity.provider': 'google',
    'Identity.subject': '110248495921238986420',
    'Identity.email': 'ada@example.org',
    'Identity.email_verified': true,
    'Identity.name': 'Ada Lovelace',
    'Identity.username': '',
    'Identity.picture_url': 'https://lh3.googleusercontent.com/a/ada',
    'FinishOAuthResponse.user_created': false,
    'FinishOAuthResponse.session': session,
    'FinishOAuthResponse.redirect_url': 'https://app.example.org/welcome',
    'FinishOAuthResponse.client_state': '',
    'FinishOAuthResponse.exchange_code': '',
    'FinishOAuthResponse.provider_tokens': undefined,
    'SignInWithIdTokenResponse.session': session,
    'VerifyOtpResponse.exchange_code': undefined,
    'ExchangeCodeResponse.session': session,
    'ExchangeCodeResponse.provider_tokens': undefined,
    'LinkIdentityResponse.tokens': undefined,
    'LinkIdentityResponse.session': undefined,
    'OAuthClient.id': 'tv-app',
    'User.providers': 'email',
    'User.identities': undefined,
  };
}
