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
    action: 'Complete the login without merging the guest: send the disposition that keeps them.',
  },
  USER_CODE_NOT_FOUND: {
    when: 'The user code is unknown, was approved or denied before, or has expired.',
    retry: 'no',
    action: 'Ask the user to compare the code with the one on the device, or to start again on the device.',
  },
  INVALID_DEVICE_CODE: {
    when: 'The device code is unknown, or its credential was returned before.',
    retry: 'no',
    action: 'Request a new code.',
  },
  AUTHORIZATION_PENDING: {
    when: 'No user has approved or denied the device yet.',
    retry: 'after the delay',
    action: 'Poll again after the interval.',
  },
  ACCESS_DENIED: {
    when: 'A user denied the device. Or the approval is void: the user was banned or deleted, or the session that approved was revoked or has expired.',
    retry: 'no',
    action: 'Stop polling. Request a new code when the user wants to try again.',
  },
  EXPIRED_TOKEN: {
    when: 'The device code expired before it was redeemed.',
    retry: 'no',
    action: 'Request a new code.',
  },
  CLI_CODE_INVALID: {
    when: 'The dashboard code is unknown, void or expired, or is not one of the caller.',
    retry: 'no',
    action: 'Ask the user to compare the code, or to create a new one.',
  },
  CLI_CODE_USED: {
    when: 'The dashboard code was redeemed, or another device has claimed it.',
    retry: 'no',
    action: 'Ask the user to create a new code, and to look at the list of their devices.',
  },
  DEVICE_NOT_FOUND: {
    when: 'The caller has no device with this id.',
    retry: 'no',
    action: 'Read the list of devices again.',
  },
  INVALID_AUTH_CODE: {
    when: 'The auth code was altered, is unknown, or its login was denied or canceled.',
    retry: 'no',
    action: 'Have the user start the login again on their machine.',
  },
  AUTH_CODE_EXPIRED: {
    when: 'The auth code is older than five minutes.',
    retry: 'no',
    action: 'Have the user start the login again on their machine.',
  },
  ALREADY_CONNECTED: {
    when: 'The caller has confirmed this login before, for example in another tab.',
    retry: 'no',
    action: 'Tell the user that their machine is signed in.',
  },
  OWNERSHIP_CONFLICT: {
    when: 'Another user has confirmed this login, or has a live session on this machine. The response does not say which.',
    retry: 'no',
    action: 'Have the other user sign out on the machine, then start the login again.',
  },
  SLOW_DOWN: {
    when: 'A login that waits for a decision was polled before its interval was over. Its interval is 5 seconds longer now.',
    retry: 'after the delay',
    action:
      'Wait as long as `RetryInfo` says before the next poll, and before each further one (RFC 8628, section 3.5).',
  },
} as const satisfies Partial<Record<Reason, Explanation>>;
