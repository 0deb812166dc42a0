import { AuthError, invalid } from './auth-error.ts';

/** The providers that clients look for, whether or not the service has them, beside those of GetSettings. */
export const otherProviders =
  'apple facebook snapchat figma fly keycloak kakao linkedin linkedin_oidc notion spotify slack slack_oidc workos twitch twitter phone zoom'.split(
    ' ',
  );

const known = new Set([...otherProviders, 'google', 'github', 'azure', 'gitlab', 'bitbucket', 'discord']);

const issuers: Readonly<Record<string, string>> = {
  apple: 'https://appleid.apple.com',
  azure: 'https://login.microsoftonline.com/common/v2.0',
  facebook: 'https://www.facebook.com',
  google: 'https://accounts.google.com',
  kakao: 'https://kauth.kakao.com',
};

/** The name of a provider in OAUTH_PROVIDERS. Undefined for a text that is no name. */
export function providerNamed(name: string): string | undefined {
  const plain = name.startsWith('custom:') ? name.slice('custom:'.length) : name;
  if (!/^[a-z][a-z0-9_-]{0,31}$/.test(plain)) return undefined;
  return plain === 'azure' ? 'microsoft' : plain;
}

/** The provider that a request for a page names. */
export function requestedProvider(name: string | null): string {
  const provider = name ? providerNamed(name) : undefined;
  if (!provider) throw invalid('Unsupported provider: provider could not be found');
  return provider;
}

/** The name that clients have for the provider with an issuer. */
export function nameOfIssuer(issuer: string): string | undefined {
  return Object.keys(issuers).find((name) => issuers[name] === issuer);
}

/** What a client is shown whose ID token is of a provider that the service does not have. */
export function providerIsOff(name: string, issuer = issuers[name] ?? name): AuthError {
  const shown = (text: string) => text.replace(/[^\w.:/-]/g, '').slice(0, 200);
  if (name.startsWith('custom:')) return invalid(`Custom provider "${shown(name)}" not found`);
  if (name && !known.has(name)) return invalid(`Custom OIDC provider "${shown(name)}" not allowed`);
  return new AuthError(400, 'provider_disabled', `Provider (issuer "${shown(issuer)}") is not enabled`);
}
