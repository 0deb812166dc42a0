import { onOff, planName, wholeNumber } from './parsers.ts';
import { webhookSecrets } from './secret-parsers.ts';
import type { Settings } from './setting.ts';

export const accounts = {
  REQUIRE_INVITE_CODE: {
    sentence: 'Whether registration requires an invite code. SELF_SERVE_ENABLED=on overrides it.',
    reads: onOff,
    default: 'off',
    example: 'on',
  },
  SELF_SERVE_ENABLED: {
    sentence: 'Whether people may register without an invite code although REQUIRE_INVITE_CODE is on.',
    reads: onOff,
    default: 'off',
    example: 'on',
  },
  TRIAL_PLAN: {
    sentence: 'Plan of the trial that every new account gets.',
    reads: planName,
    default: 'pro',
    example: 'team',
  },
  TRIAL_DAYS: {
    sentence: 'Length of the trial of a new account. 0 gives no trial.',
    reads: wholeNumber(0, 3650, 'days'),
    default: '14',
    example: '30',
  },
} as const satisfies Settings;

export const usage = {
  USAGE: {
    sentence: 'Whether usage is counted and referral codes can be redeemed.',
    reads: onOff,
    default: 'on',
    example: 'off',
  },
  QUOTA_ANONYMOUS: quota('a guest or a client without a user', '1000'),
  QUOTA_FREE: quota('a user without an active subscription', '2500'),
  QUOTA_PAID: quota('a user with an active subscription', '10000'),
  REFERRAL_BONUS: {
    sentence: 'Units that a referral adds to the monthly quota of both users.',
    reads: wholeNumber(0, 1_000_000_000),
    default: '500',
    example: '250',
  },
  BILLING_WEBHOOK_SECRETS: {
    sentence:
      "Secrets that verify the signatures of the billing system's webhooks. List several while they are rotated.",
    reads: webhookSecrets,
    otherwise: 'none; billing events are refused',
    example: 'whsec_$(openssl rand -base64 32)',
    secret: true,
  },
} as const satisfies Settings;

function quota<const T extends string>(whom: string, units: T) {
  return {
    sentence: `Units that ${whom} may use in a month.`,
    reads: wholeNumber(0, 1_000_000_000),
    default: units,
    example: units,
  };
}
