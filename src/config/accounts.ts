import { onOff, planName, wholeNumber } from './parsers.ts';
import { webhookSecrets } from './secret-parsers.ts';
import type { Settings } from './setting.ts';

export const accounts = {
  REQUIRE_INVITE_CODE: {
    sentence: 'Whether registering takes an invite code, unless SELF_SERVE_ENABLED is on.',
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
    sentence: 'The plan that a new account tries out.',
    reads: planName,
    default: 'pro',
    example: 'team',
  },
  TRIAL_DAYS: {
    sentence: 'How long a new account tries it out; 0 for no trial.',
    reads: wholeNumber(0, 3650, 'days'),
    default: '14',
    example: '30',
  },
} as const satisfies Settings;

export const usage = {
  USAGE: {
    sentence: 'Whether usage is counted and referrals are redeemed.',
    reads: onOff,
    default: 'on',
    example: 'off',
  },
  QUOTA_ANONYMOUS: quota('a guest, or somebody who has not signed in,', '1000'),
  QUOTA_FREE: quota('a user without an active subscription', '2500'),
  QUOTA_PAID: quota('a user with an active subscription', '10000'),
  REFERRAL_BONUS: {
    sentence: 'How much more a month both sides of a referral may use.',
    reads: wholeNumber(0, 1_000_000_000),
    default: '500',
    example: '250',
  },
  BILLING_WEBHOOK_SECRETS: {
    sentence: 'The secrets one of which signs the webhooks of the billing system; several while they are rotated.',
    reads: webhookSecrets,
    otherwise: 'none, and no billing event is taken',
    example: 'whsec_$(openssl rand -base64 32)',
    secret: true,
  },
} as const satisfies Settings;

function quota<const T extends string>(whom: string, units: T) {
  return {
    sentence: `How much ${whom} may use in a month.`,
    reads: wholeNumber(0, 1_000_000_000),
    default: units,
    example: units,
  };
}
