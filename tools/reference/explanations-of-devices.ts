import type { Reason } from '../../src/errors.ts';
import type { Explanation } from './explanations.ts';

/** The reasons about logins of devices. */
export const ofDevices = {
  SLOW_DOWN: {
    when: 'A login that waits for a decision was polled before its interval was over. Its interval is 5 seconds longer now.',
    retry: 'after the delay',
    action:
      'Wait as long as `RetryInfo` says before the next poll, and before each further one (RFC 8628, section 3.5).',
  },
} as const satisfies Partial<Record<Reason, Explanation>>;
