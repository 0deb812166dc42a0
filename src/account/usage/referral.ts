import { defineEntity, p } from '@mikro-orm/postgresql';
import { projectColumn } from '../../project/project.ts';
import { User } from '../../user/user.ts';

const ReferralCodeTable = defineEntity({
  name: 'ReferralCode',
  tableName: 'referral_codes',
  properties: {
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id').primary(),
    projectId: () => projectColumn(),
    code: p.string().length(32),
    createdAt: p.datetime(3),
  },
  uniques: [{ name: 'referral_codes_key', properties: ['projectId', 'code'] }],
});

/** The code that a user passes on. Created by the first GetReferral. */
export class ReferralCode extends ReferralCodeTable.class {}
ReferralCodeTable.setClass(ReferralCode);

const ReferralTable = defineEntity({
  name: 'Referral',
  tableName: 'referrals',
  properties: {
    // The primary key: a user is referred once.
    referredId: () => p.manyToOne(User).mapToPk().fieldName('referred_id').primary(),
    projectId: () => projectColumn(),
    referrerId: () => p.manyToOne(User).mapToPk().fieldName('referrer_id'),
    createdAt: p.datetime(3),
  },
  indexes: [
    { name: 'referrals_of_referrer', properties: ['referrerId'] },
    // Two users never refer each other, not even in parallel calls.
    {
      name: 'referrals_pair',
      properties: ['referrerId', 'referredId'],
      expression:
        'create unique index "referrals_pair" on "referrals" (least("referrer_id", "referred_id"), greatest("referrer_id", "referred_id"))',
    },
  ],
});

/** One user has referred another. The bonus of both is counted from these rows, so it cannot be granted twice. */
export class Referral extends ReferralTable.class {}
ReferralTable.setClass(Referral);

/** How many users may redeem one code. */
export const referralLimit = 5;
