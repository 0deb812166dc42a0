import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  type AccountInviteSchema,
  AccountRole,
  type AccountSchema,
  type AccountSummarySchema,
  BillingEventOutcome,
  type MemberSchema,
  SubscriptionStatus as Status,
  type UsageSchema,
} from '../../gen/gatehouse/v1/account_pb.ts';
import type { ShownAccount } from './account.ts';
import type { SubscriptionStatus } from './billing/subscription.ts';
import type { BillingOutcome } from './billing/webhook.ts';
import type { ShownInvite } from './invites/invites.ts';
import type { ShownMember } from './members.ts';
import { type Role, roles } from './membership.ts';
import { type AccountSummary, type Quotas, type UsageState, usageOf } from './usage/account-summary.ts';

const statuses = {
  trialing: Status.TRIALING,
  active: Status.ACTIVE,
  past_due: Status.PAST_DUE,
  canceled: Status.CANCELED,
} as const satisfies Record<SubscriptionStatus, Status>;

export const outcomeToMessage = {
  applied: BillingEventOutcome.APPLIED,
  duplicate: BillingEventOutcome.DUPLICATE,
  stale: BillingEventOutcome.STALE,
  ignored: BillingEventOutcome.IGNORED,
} as const satisfies Record<BillingOutcome, BillingEventOutcome>;

const roleMessages = {
  owner: AccountRole.OWNER,
  admin: AccountRole.ADMIN,
  member: AccountRole.MEMBER,
  viewer: AccountRole.VIEWER,
} as const satisfies Record<Role, AccountRole>;

export function roleToMessage(role: Role): AccountRole {
  return roleMessages[role];
}

/** Of a role that the validation has let pass. */
export function roleOf(role: AccountRole): Role {
  return roles.find((each) => roleMessages[each] === role)!;
}

/** Times are texts where the account came as JSON, or out of a transaction. */
export function accountToMessage(account: ShownAccount): MessageInitShape<typeof AccountSchema> {
  const { id, name, displayCode, ownerId, role, plan, status, periodStart, periodEnd, createdAt } = account;
  return {
    id,
    name,
    displayCode,
    ownerId: ownerId ?? '',
    role: roleToMessage(role),
    subscription: {
      plan,
      status: statuses[status],
      ...(periodStart && { currentPeriodStartTime: timestampFromDate(new Date(periodStart)) }),
      ...(periodEnd && { currentPeriodEndTime: timestampFromDate(new Date(periodEnd)) }),
    },
    createTime: timestampFromDate(new Date(createdAt)),
  };
}

export function memberToMessage(member: ShownMember): MessageInitShape<typeof MemberSchema> {
  const { userId, email, name, role, joinedAt } = member;
  return {
    userId,
    email: email ?? '',
    name,
    role: roleToMessage(role),
    joinTime: timestampFromDate(new Date(joinedAt)),
  };
}

export function inviteToMessage(invite: ShownInvite): MessageInitShape<typeof AccountInviteSchema> {
  const { id, email, role, inviterId, createdAt, expiresAt, usedAt, revokedAt } = invite;
  return {
    id,
    email,
    role: roleToMessage(role),
    inviterId,
    createTime: timestampFromDate(createdAt),
    expireTime: timestampFromDate(expiresAt),
    ...(usedAt && { acceptTime: timestampFromDate(usedAt) }),
    ...(revokedAt && { revokeTime: timestampFromDate(revokedAt) }),
  };
}

export function usageToMessage({
  used,
  limit,
  isSubscribed,
  resetsAt,
}: UsageState): MessageInitShape<typeof UsageSchema> {
  return {
    usage: BigInt(used),
    limit: BigInt(limit),
    subscriptionActive: isSubscribed,
    nextResetTime: timestampFromDate(resetsAt),
  };
}

/** Undefined for guests, who are in no account. Without usage where that is off. */
export function summaryToMessage(
  summary: AccountSummary | null | undefined,
  quotas: Quotas | undefined,
  now: Date,
): MessageInitShape<typeof AccountSummarySchema> | undefined {
  if (!summary?.account) return undefined;
  return {
    account: accountToMessage(summary.account),
    ...(quotas && { usage: usageToMessage(usageOf(summary, quotas, now)) }),
  };
}
