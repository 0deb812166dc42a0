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
} as const satisfies Settings;
