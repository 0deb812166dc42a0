import type { Reason } from '../../src/errors.ts';
import type { Explanation } from './explanations.ts';

const provider = { provider: 'The name of the provider.' };

/** The reasons about sign-ins with a provider. */
export const ofProviders = {
  OAUTH_PROVIDER_NOT_FOUND: {
    when: 'No provider with this name is configured, or it has no ID tokens.',
    retry: 'no',
    action: 'Offer the providers that GetSettings returns.',
  },
  REDIRECT_NOT_ALLOWED: {
    when: 'The URL is not one of SITE_URL, of a loopback address or of REDIRECT_URLS.',
    retry: 'no',
    action: 'Correct the URL, or add it to REDIRECT_URLS.',
    metadata: { field: 'The field with the URL.' },
  },
  OAUTH_STATE_INVALID: {
    when: 'The state is unknown, was used before, is older than five minutes, or was started by another client.',
    retry: 'no',
    action: 'Start the sign-in again. If the user has just pressed the back button, they may be signed in already.',
  },
  OAUTH_PROVIDER_ERROR: {
    when: 'The provider returned an error, or did not accept the code.',
    retry: 'no',
    action:
      'Offer to start the sign-in again. If every sign-in fails, check OAUTH_PROVIDERS: the log names the provider.',
    metadata: {
      ...provider,
      error: 'The error of the provider, as OAuth names it, or `other`.',
      redirect_url: 'The `redirect_url` of the sign-in.',
      client_state: 'Its `client_state`.',
    },
  },
  OAUTH_PROVIDER_UNAVAILABLE: {
    when: 'The provider cannot be reached, responds too slowly or not as it should, or has as many requests running as it may.',
    retry: 'with backoff',
    action: 'Offer another way to sign in. The log names the fault.',
    metadata: provider,
  },
  ID_TOKEN_INVALID: {
    when: 'The ID token is malformed, expired, issued in the future, for another client, by another issuer, or has another nonce; or it is not signed by the provider. The audit event has the cause.',
    retry: 'no',
    action:
      'Start the sign-in again. If every sign-in fails, compare the client ids in OAUTH_PROVIDERS and the clock of the server.',
  },
  IDENTITY_CONFLICT: {
    when: 'Another user has the identity. Or another user has its email address, and the provider has not verified the address or a guest links it.',
    retry: 'no',
    action: 'Have the user sign in as they did before, and then link the identity.',
    metadata: {
      conflict: '`identity` or `email`.',
      redirect_url: 'The `redirect_url` of the sign-in.',
      client_state: 'Its `client_state`.',
    },
  },
  IDENTITY_LIMIT_REACHED: {
    when: 'The user has as many identities as they may have.',
    retry: 'no',
    action: 'Have the user unlink an identity.',
  },
  IDENTITY_LINKING_DISABLED: {
    when: 'Users do not link identities here (IDENTITY_LINKING).',
    retry: 'no',
    action: 'Do not offer it.',
  },
  IDENTITY_NOT_FOUND: {
    when: 'There is no identity with this id, or another user has it.',
    retry: 'no',
    action: 'Remove it from the list.',
  },
  LAST_SIGN_IN_METHOD: {
    when: 'Without it the user could no longer sign in: they have no passkey, no other identity, and neither a password nor a verified address with which they registered.',
    retry: 'no',
    action: 'Have the user set a password, register a passkey or link another identity first.',
  },
} as const satisfies Partial<Record<Reason, Explanation>>;
