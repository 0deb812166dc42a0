import type { Reason } from '../../src/errors.ts';
import type { Explanation } from './explanations.ts';

/** The reasons about logins of devices. */
export const ofDevices = {
  INVALID_POLLING_CODE: {
    when: 'The polling code was not issued by this method, or is older than a day.',
    retry: 'no',
    action: 'Start a new login.',
  },
  INVALID_LOGIN_CODE: {
    when: 'The login code does not exist, has expired, or its login was approved, denied or canceled before.',
    retry: 'no',
    action: 'Have the user start the login again on their device.',
  },
  INVALID_ANON_REFRESH_TOKEN: {
    when: 'The refresh token of a guest is not valid: it was altered, used before or replaced, or its session was revoked.',
    retry: 'no',
    action: 'Start the login without a guest.',
  },
  ANON_REFRESH_TOKEN_EXPIRED: {
    when: 'The session of the guest has expired.',
    retry: 'no',
    action: 'Start the login without a guest.',
  },
  NOT_ANONYMOUS: {
    when: 'The refresh token is that of a registered user.',
    retry: 'no',
    action: 'The program is signed in already. Sign out first to sign in as another user.',
  },
  NO_ANONYMOUS_SESSION: {
    when: 'The login has no guest. Or the guest was claimed before, has registered or has signed out.',
    retry: 'no',
    action: 'Continue without the guest: sign the user in or register them, then complete the login.',
  },
  GUEST_NOT_MERGEABLE: {
    when: 'The guest of the login has an email address, a password or the role of an operator. Nothing was changed.',
    retry: 'no',
    action: 'Complete the login with GUEST_DISPOSITION_KEEP.',
  },
  SLOW_DOWN: {
    when: 'A login that waits for a decision was polled before its interval was over. Its interval is 5 seconds longer now.',
    retry: 'after the delay',
    action:
      'Wait as long as `RetryInfo` says before the next poll, and before each further one (RFC 8628, section 3.5).',
  },
} as const satisfies Partial<Record<Reason, Explanation>>;
