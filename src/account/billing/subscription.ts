import { defineEntity, p } from '@mikro-orm/postgresql';
import { projectColumn } from '../../project/project.ts';
import { Account } from '../account.ts';

export type SubscriptionStatus = 'trialing' | 'active' | 'past_due' | 'canceled';

const SubscriptionTable = defineEntity({
  name: 'Subscription',
  tableName: 'subscriptions',
  properties: {
    accountId: () => p.manyToOne(Account).mapToPk().fieldName('account_id').primary(),
    projectId: () => projectColumn(),
    plan: p.string().length(64),
    status: p.string().length(16).$type<SubscriptionStatus>(),
    currentPeriodStart: p.datetime(3).nullable(),
    currentPeriodEnd: p.datetime(3).nullable(),
    /** When the event that set the status happened, and its rank among the events of that time. */
    lastEventAt: p.datetime(3).nullable(),
    lastEventRank: p.smallint().default(0),
    /** The place in the order of events of the event that set the column. Null when none has. */
    planOrder: p.bigint().nullable(),
    currentPeriodStartOrder: p.bigint().nullable(),
    currentPeriodEndOrder: p.bigint().nullable(),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3),
  },
});

/** What an account has subscribed to. Every account has exactly one. */
export class Subscription extends SubscriptionTable.class {}
SubscriptionTable.setClass(Subscription);

/** The plan of a subscription and its current period. */
export type Plan = Pick<Subscription, 'plan' | 'status'> & {
  readonly periodStart: Date | null;
  readonly periodEnd: Date | null;
};

/** What new accounts try out: TRIAL_PLAN and TRIAL_DAYS. */
export interface TrialRules {
  readonly trialPlan: string;
  readonly trialDays: number;
}

/** What an invite code says about the account that is opened with it. */
interface AssignedPlan {
  readonly assignedPlan?: string | null | undefined;
  readonly trialDurationDays?: number | null | undefined;
}

const dayMs = 86_400_000;

/**
 * What a new account is subscribed to. A plan that an invite code assigns is active, or a trial of the code's own length.
 * Otherwise there is the standard trial, or none where TRIAL_DAYS is 0.
 */
export function firstPlan({ trialPlan, trialDays }: TrialRules, code: AssignedPlan | undefined, now: Date): Plan {
  if (!code?.assignedPlan) return trialDays ? trial(trialPlan, trialDays, now) : withoutTrial(trialPlan);
  if (code.trialDurationDays) return trial(code.assignedPlan, code.trialDurationDays, now);
  return { plan: code.assignedPlan, status: 'active', periodStart: null, periodEnd: null };
}

function trial(plan: string, days: number, now: Date): Plan {
  return { plan, status: 'trialing', periodStart: now, periodEnd: new Date(now.getTime() + days * dayMs) };
}

/** A plan by name only, which grants nothing. */
export function withoutTrial(plan: string): Plan {
  return { plan, status: 'canceled', periodStart: null, periodEnd: null };
}

const BillingEventTable = defineEntity({
  name: 'BillingEvent',
  tableName: 'billing_events',
  properties: {
    projectId: () => projectColumn().primary(),
    eventId: p.string().length(128).primary(),
    receivedAt: p.datetime(3),
  },
  indexes: [{ name: 'billing_events_age', properties: ['receivedAt'] }],
});

/** A billing event that was received. Kept for longer than any billing system repeats one. */
export class BillingEvent extends BillingEventTable.class {}
BillingEventTable.setClass(BillingEvent);
