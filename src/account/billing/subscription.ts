import { defineEntity, p } from '@mikro-orm/postgresql';
import { Project } from '../../project/project.ts';
import { Account } from '../account.ts';

/** Only `active` raises a quota. */
export type SubscriptionStatus = 'trialing' | 'active' | 'past_due' | 'canceled';

const SubscriptionTable = defineEntity({
  name: 'Subscription',
  tableName: 'subscriptions',
  properties: {
    accountId: () => p.manyToOne(Account).mapToPk().fieldName('account_id').primary(),
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id'),
    plan: p.string().length(64),
    status: p.string().length(16).$type<SubscriptionStatus>(),
    currentPeriodStart: p.datetime(3).nullable(),
    currentPeriodEnd: p.datetime(3).nullable(),
    lastEventAt: p.datetime(3).nullable(),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3),
  },
});

/** What an account has subscribed to. Every account has one, and no account two. */
export class Subscription extends SubscriptionTable.class {}
SubscriptionTable.setClass(Subscription);

const BillingEventTable = defineEntity({
  name: 'BillingEvent',
  tableName: 'billing_events',
  properties: {
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id').primary(),
    eventId: p.string().length(128).primary(),
    receivedAt: p.datetime(3),
  },
  indexes: [{ name: 'billing_events_age', properties: ['receivedAt'] }],
});

/** That an event was here. Kept for longer than any billing system repeats one. */
export class BillingEvent extends BillingEventTable.class {}
BillingEventTable.setClass(BillingEvent);
