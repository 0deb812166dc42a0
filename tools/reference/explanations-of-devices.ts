import type { Reason } from '../../src/errors.ts';
import type { Explanation } from './explanations.ts';

/** The reasons about logins of devices. */
export const ofDevices = {
  INVALID_POLLING_CODE: {
    when: 'The polling code was not issued by this method, or is older than a day.',
    retry: 'no',
    action: 'Start a new login.',
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
