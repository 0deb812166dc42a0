import { randomInt } from 'node:crypto';
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../../database/autocommit.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import { Project } from '../../project/project.ts';
import { User } from '../../user/user.ts';

const ReferralCodeTable = defineEntity({
  name: 'ReferralCode',
  tableName: 'referral_codes',
  properties: {
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id').primary(),
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id'),
    code: p.string().length(32),
    createdAt: p.datetime(3),
  },
  uniques: [{ name: 'referral_codes_key', properties: ['projectId', 'code'] }],
});

/** The code a user passes on. Made when it is first asked for. */
export class ReferralCode extends ReferralCodeTable.class {}
ReferralCodeTable.setClass(ReferralCode);

const ReferralTable = defineEntity({
  name: 'Referral',
  tableName: 'referrals',
  properties: {
    // The key: nobody is referred twice.
    referredId: () => p.manyToOne(User).mapToPk().fieldName('referred_id').primary(),
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id'),
    referrerId: () => p.manyToOne(User).mapToPk().fieldName('referrer_id'),
    createdAt: p.datetime(3),
  },
  indexes: [
    { name: 'referrals_of_referrer', properties: ['referrerId'] },
    // Two people never refer each other, not even at the same moment.
    {
      name: 'referrals_pair',
      properties: ['referrerId', 'referredId'],
      expression:
        'create unique index "referrals_pair" on "referrals" (least("referrer_id", "referred_id"), greatest("referrer_id", "referred_id"))',
    },
  ],
});

/** That one user brought another. What both get for it is counted from these rows, so it cannot be given twice. */
export class Referral extends ReferralTable.class {}
ReferralTable.setClass(Referral);

/** How many may redeem one code. */
export const referralLimit = 5;

const userMail = 'abcdefghijkmnpqrstuvwxyz23456789';

/** 80 random bits; no code of another is found by trying. */
function newCode(): string {
  return `ref-${Array.from({ length: 16 }, () => userMail[randomInt(userMail.length)]).join('')}`;
}

const make = statement<{ code: string; count: number }>(
  'referral_code_make',
  `with made as (
     insert into referral_codes (user_id, project_id, code, created_at) values ($1, $2, $3, $4)
     on conflict (user_id) do update set code = referral_codes.code returning code
   )
   select code, (select count(*) from referrals where referrer_id = $1)::int as count from made`,
);

export async function referralOf(autocommit: Autocommit, projectId: string, userId: string, now: Date) {
  const [row] = await make(autocommit, [userId, projectId, newCode(), now]);
  return row!;
}

// Locked, so that those who redeem one code at once are counted one after the other.
const lockReferrer = statement<{ userId: string }>(
  'referrer_lock',
  `select r.user_id as "userId" from referral_codes r join users u on u.id = r.user_id
   where r.project_id = $1 and r.code = $2 and u.deleted_at is null for update of r`,
);

const refer = statement<{ id: string }>(
  'referral_redeem',
  `insert into referrals (referred_id, project_id, referrer_id, created_at)
   select $1, $2, $3, $4 where (select count(*) from referrals where referrer_id = $3) < ${referralLimit}
   on conflict do nothing returning referred_id as id`,
);

const history = statement<{ referred: boolean; mutual: boolean }>(
  'referral_history',
  `select exists (select from referrals where referred_id = $1) as referred,
     exists (select from referrals where referred_id = $2 and referrer_id = $1) as mutual`,
);

/** Notes who brought a user. Throws why not. */
export async function redeemReferral(
  em: EntityManager,
  { projectId, userId, code }: { projectId: string; userId: string; code: string },
  now: Date,
): Promise<void> {
  const [referrer] = await lockReferrer(em, [projectId, code.trim().toLowerCase()]);
  if (referrer?.userId === userId) throw new Refusal('OWN_REFERRAL_CODE');
  if (referrer && (await refer(em, [userId, projectId, referrer.userId, now])).length === 1) return;
  const [seen] = await history(em, [userId, referrer?.userId ?? null]);
  if (seen!.referred) throw new Refusal('REFERRAL_ALREADY_REDEEMED');
  if (!referrer) throw new Refusal('REFERRAL_CODE_NOT_FOUND');
  throw new Refusal(seen!.mutual ? 'MUTUAL_REFERRAL' : 'REFERRAL_LIMIT_REACHED');
}
