import { oauthProviders } from './oauth-providers.ts';
import { onOff } from './parsers.ts';
import { oauthClients } from './secret-parsers.ts';
import type { Settings } from './setting.ts';

export const oauth = {
  OAUTH_CLIENTS: {
    sentence:
      'Programs that sign in with OAuth, as /oauth2/token knows them. A public client has an id only; a confidential one has the SHA-256 hash of its secret too.',
    reads: oauthClients,
    otherwise: 'none',
    example: 'tv-app,billing:$(printf %s "$BILLING_KEY" | openssl dgst -sha256 -r | cut -c 1-64)',
    secret: true,
  },
  OAUTH_PROVIDERS: {
    sentence: 'The providers that users can sign in with, such as Google, each with what it gave you for this service.',
    reads: oauthProviders,
    otherwise: 'none',
    example:
      '{\\"google\\":{\\"client_id\\":\\"1234.apps.googleusercontent.com\\",\\"client_secret\\":\\"GOCSPX-example\\"}}',
    secret: true,
  },
  IDENTITY_LINKING: {
    sentence: 'Whether users link the identities of providers to their user, and unlink them.',
    reads: onOff,
    default: 'on',
    example: 'off',
  },
  OAUTH_PRIVATE_ADDRESSES: {
    sentence:
      'Whether the servers of OAUTH_PROVIDERS may have addresses that are not public, such as 10.0.0.7. Outside production they may then be reached without TLS too.',
    reads: onOff,
    otherwise: 'off in production, else on',
    example: 'on',
  },
} as const satisfies Settings;
