import { choice, daysOrOff, duration, lifetime, tokenClaims, wholeNumber } from './parsers.ts';
import type { Settings } from './setting.ts';

export const sessions = {
  ACCESS_TOKEN_LIFETIME: {
    sentence: 'Lifetime of an access token.',
    reads: wholeNumber(1, 86_400, 'seconds'),
    default: '3600',
    example: '900',
  },
  TOKEN_CLAIMS: {
    sentence: 'Claims that access tokens also contain: the account that the user is in, and their role in it.',
    reads: tokenClaims,
    otherwise: 'none',
    example: 'account_id,account_role',
  },
  REFRESH_REUSE_INTERVAL: {
    sentence:
      'How long the previous refresh token still returns its successor, for lost responses and concurrent tabs.',
    reads: wholeNumber(0, 60, 'seconds'),
    default: '10',
    example: '10',
  },
  SESSION_LIFETIME_WEB: sessionLifetime('a browser', '7d/30d'),
  SESSION_LIFETIME_NATIVE: sessionLifetime('a native app', '30d/90d'),
  SESSION_LIFETIME_CLI: sessionLifetime('a command-line tool', '30d/365d'),
  SESSION_LIFETIME_DEVICE: sessionLifetime('a device', '30d/365d'),
  SESSION_LIFETIME_SERVICE: sessionLifetime('a service', '30d/365d'),
  MFA_REQUIRED_FOR: {
    sentence:
      'Users who must have a second factor. Until one is verified, a session in a browser or an app is admitted only to what leads there.',
    reads: choice('none', 'operators', 'everyone'),
    default: 'none',
    example: 'operators',
  },
  MFA_ENROLMENT_GRACE: {
    sentence: 'How long after their creation users may work without a factor that MFA_REQUIRED_FOR requires.',
    reads: wholeNumber(0, 365, 'days'),
    default: '0',
    example: '7',
  },
  ANONYMOUS_MERGE_DEFAULT: {
    sentence:
      'Outcome for the guest of a command line tool when another user signs the tool in and the request does not say: merged into that user and deleted, or kept.',
    reads: choice('merge', 'keep'),
    default: 'merge',
    example: 'keep',
  },
  SESSIONS_PER_USER: {
    sentence: 'Number of sessions that a user may have at the same time. A further one ends another.',
    reads: wholeNumber(1, 1000),
    default: '200',
    example: '50',
  },
  TRUSTED_DEVICE_DAYS: {
    sentence:
      'Number of days for which a user who asks for it is not asked for a second factor again on a device that has verified one.',
    reads: daysOrOff,
    default: 'off',
    example: '30',
  },
  API_KEY_LIFETIME: {
    sentence: 'How long an API key of a user is valid, unless the request asks for less.',
    reads: duration('1m', '3650d'),
    default: '365d',
    example: '90d',
  },
  API_KEYS_PER_USER: {
    sentence: 'Number of active API keys that a user may have. A further one is refused.',
    reads: wholeNumber(1, 1000),
    default: '50',
    example: '10',
  },
} as const satisfies Settings;

function sessionLifetime<const T extends string>(client: string, limits: T) {
  return {
    sentence: `Idle timeout and maximum lifetime of a session of ${client}.`,
    reads: lifetime,
    default: limits,
    example: limits,
  };
}
