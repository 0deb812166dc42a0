import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  type AccountInviteSchema,
  type AccountRole,
  type AccountSchema,
  type AccountSummarySchema,
  type MemberSchema,
  SubscriptionStatus as Status,
  type UsageSchema,
} from '../../gen/gatehouse/v1/account_pb.ts';
import { roleMessages, roleToMessage } from '../user/current-account.ts';
import type { SubscriptionStatus } from './billing/subscription.ts';
import type { ShownInvite } from './invites/invite.ts';
import type { ShownMember } from './members.ts';
import { type Role, roles } from './membership.ts';
import type { ShownAccount } from './shown-account.ts';
import { type AccountSummary, usageOf } from './usage/account-summary.ts';
import type { Quotas } from './usage/quota.ts';
import type { UsageState } from './usage/usage.ts';

const statuses = {
  trialing: Status.TRIALING,
  active: Status.ACTIVE,
  past_due: Status.PAST_DUE,
  canceled: Status.CANCELED,
} as const satisfies Record<SubscriptionStatus, Status>;

/** The request was validated before: the role is one of ours. */
export function roleOf(role: AccountRole): Role {
  return roles.find((each) => roleMessages[each] === role)!;
}

export function accountToMessage(account: ShownAccount): MessageInitShape<typeof AccountSchema> {
  const { id, name, displayCode, ownerId, role, plan, status, periodStart, periodEnd, createdAt } = account;
  return {
    id,
    name,
    displayCode,
    ownerId: ownerId ?? '',
    ...(role && { role: roleToMessage(role) }),
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
    inviterId: inviterId ?? '',
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
    usage: used,
    limit,
    subscriptionActive: isSubscribed,
    nextResetTime: timestampFromDate(resetsAt),
  };
}

/** Undefined for guests, who are in no account. Without usage where USAGE is off. */
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
