import { microsoftRules } from './microsoft.ts';
import type { OpenIdRules } from './open-id-provider.ts';
import type { PlainRules } from './plain-provider.ts';
import { byAppleText, byBoolean } from './profile.ts';
import type { Claims, ProviderSettings } from './provider.ts';

const openIdScopes = ['openid', 'email', 'profile'];

function google({ issuer = 'https://accounts.google.com' }: ProviderSettings): OpenIdRules {
  // Google writes its issuer without the scheme too.
  const spellings = [issuer, issuer.replace(/^https:\/\//, '')];
  const isIssuer = ({ iss }: Claims) => spellings.some((each) => each === iss);
  const isResponseIssuer = (iss: string) => spellings.includes(iss);
  return { label: 'Google', issuer, isIssuer, isResponseIssuer, scopes: openIdScopes, isVerified: byBoolean };
}

function gitlab({ issuer = 'https://gitlab.com' }: ProviderSettings): OpenIdRules {
  return { label: 'GitLab', issuer, scopes: openIdScopes, isVerified: byBoolean };
}

// Apple sends the name and the address only where they are asked for, and then by a POST only.
function apple({ issuer = 'https://appleid.apple.com' }: ProviderSettings): OpenIdRules {
  const scopes = ['openid', 'email', 'name'];
  return { label: 'Apple', issuer, scopes, isVerified: byAppleText, postsCallback: true };
}

/** Of every other name. */
function other({ name, issuer = '' }: ProviderSettings): OpenIdRules {
  return { label: name, issuer, scopes: openIdScopes, isVerified: byBoolean };
}

const openId: Readonly<Record<string, (settings: ProviderSettings) => OpenIdRules>> = {
  google,
  gitlab,
  apple,
  microsoft: microsoftRules,
};

const plain: Readonly<Record<string, PlainRules>> = {
  github: {
    label: 'GitHub',
    endpoints: {
      authorization: 'https://github.com/login/oauth/authorize',
      token: 'https://github.com/login/oauth/access_token',
      user: 'https://api.github.com/user',
      emails: 'https://api.github.com/user/emails',
    },
    scopes: ['read:user', 'user:email'],
    // The address in the profile need not be verified.
    read: ({ id, name, login, avatar_url: picture }, emails) => {
      const { email, verified } = listOf(emails).find(({ primary }) => primary === true) ?? {};
      return { subject: id, claims: { email, email_verified: verified, name, preferred_username: login, picture } };
    },
  },
  bitbucket: {
    label: 'Bitbucket',
    endpoints: {
      authorization: 'https://bitbucket.org/site/oauth2/authorize',
      token: 'https://bitbucket.org/site/oauth2/access_token',
      user: 'https://api.bitbucket.org/2.0/user',
      emails: 'https://api.bitbucket.org/2.0/user/emails',
    },
    scopes: ['account', 'email'],
    usesBasic: true,
    read: ({ uuid, display_name: name, username }, emails) => {
      const { values } = (emails ?? {}) as Claims;
      const { email, is_confirmed: confirmed } = listOf(values).find((each) => each.is_primary === true) ?? {};
      return { subject: uuid, claims: { email, email_verified: confirmed, name, preferred_username: username } };
    },
  },
  discord: {
    label: 'Discord',
    endpoints: {
      authorization: 'https://discord.com/oauth2/authorize',
      token: 'https://discord.com/api/oauth2/token',
      user: 'https://discord.com/api/users/@me',
    },
    scopes: ['identify', 'email'],
    read: ({ id, email, verified, global_name: name, username }) => ({
      subject: id,
      claims: { email, email_verified: verified, name, preferred_username: username },
    }),
  },
};

function listOf(value: unknown): Claims[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'object' && each !== null) : [];
}

/** What is known of a provider by its name. */
export function rulesOf(settings: ProviderSettings): { readonly openId: OpenIdRules } | { readonly plain: PlainRules } {
  const known = plain[settings.name];
  return known ? { plain: known } : { openId: (openId[settings.name] ?? other)(settings) };
}
