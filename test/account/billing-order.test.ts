// @serializable
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { describe, expect, test } from 'vitest';
import { BillingEventOutcome as Outcome, SubscriptionStatus } from '../../gen/gatehouse/v1/account_pb.ts';
import { Barrier, together } from '../support/race.ts';
import { start, wires } from '../support/start.ts';
import { webhook } from '../support/webhook.ts';

const { ACTIVE, CANCELED, PAST_DUE, TRIALING } = SubscriptionStatus;

interface Sent {
  readonly type: string;
  readonly status: string;
  /** Seconds after the first event. */
  readonly after?: number;
  readonly more?: object;
}

const created = { type: 'subscription.created', status: 'trialing' };
const updated = { type: 'subscription.updated', status: 'active' };
const paid = { type: 'invoice.paid', status: 'active' };
const deleted = { type: 'subscription.deleted', status: 'active' };

function permutations<T>(all: readonly T[]): T[][] {
  if (all.length < 2) return [[...all]];
  return all.flatMap((first, i) => permutations(all.toSpliced(i, 1)).map((rest) => [first, ...rest]));
}

async function startWithAccount(options: Parameters<typeof start>[0] = {}) {
  const service = await start(options);
  const at = service.now();
  /** A new account, the deliveries of these events to it, and its subscription. */
  const subscribe = async (email: string, events: readonly Sent[]) => {
    const { as, account } = await service.welcome({ email, password: 'a difference engine' });
    const deliveries = events.map(({ type, status, after = 0, more }) =>
      webhook(
        { type, timestamp: new Date(at.getTime() + after * 1000), data: { account_id: account.id, status, ...more } },
        { sentAt: at },
      ),
    );
    const subscription = async () => {
      const shown = (await service.clients('json').accounts.getAccount({ accountId: account.id }, as)).account!;
      const { status, plan, currentPeriodEndTime: end } = shown.subscription!;
      return { status, plan, end: end && timestampDate(end).toISOString() };
    };
    return { deliveries, subscription };
  };
  return { ...service, subscribe };
}

describe.each(wires)('over %s', (wire) => {
  test.each<[what: string, events: readonly Sent[], status: SubscriptionStatus]>([
    ['created and updated', [created, updated], ACTIVE],
    ['updated and deleted', [updated, deleted], CANCELED],
    ['created and paid', [{ ...created, status: 'incomplete' }, paid], ACTIVE],
    ['created, updated and deleted', [created, updated, deleted], CANCELED],
    ['created, paid and deleted', [created, paid, deleted], CANCELED],
    ['deleted, and created again a second later', [deleted, { ...created, after: 1 }], TRIALING],
    ['past due, and deleted earlier', [{ ...updated, status: 'past_due', after: 1 }, deleted], PAST_DUE],
  ])('events of one time have the order of their types, however they are delivered: %s', async (_, events, status) => {
    const { clients, subscribe } = await startWithAccount();
    for (const [i, order] of permutations(events).entries()) {
      const { deliveries, subscription } = await subscribe(`${i}@example.org`, order);
      for (const each of deliveries) await clients(wire).accounts.applyBillingEvent(each);
      const what = order.map(({ type }) => type).join(', ');
      expect((await subscription()).status, what).toBe(status);
      for (const each of deliveries.toReversed())
        expect((await clients(wire).accounts.applyBillingEvent(each)).outcome, what).toBe(Outcome.DUPLICATE);
      expect((await subscription()).status, `${what}, delivered again`).toBe(status);
    }
  });

  test('a plan and a period that only an earlier event names are kept, however the events are delivered', async () => {
    const { clients, subscribe } = await startWithAccount();
    const more = { plan: 'team', current_period_end: '2026-12-01T00:00:00Z' };
    const events = [
      { ...created, more },
      { ...updated, more: { current_period_end: '2027-01-01T00:00:00Z' } },
      { ...deleted, after: 60 },
    ];
    for (const [i, order] of permutations(events).entries()) {
      const { deliveries, subscription } = await subscribe(`${i}@example.org`, order);
      for (const each of deliveries) await clients(wire).accounts.applyBillingEvent(each);
      const expected = { status: CANCELED, plan: 'team', end: '2027-01-01T00:00:00.000Z' };
      expect(await subscription(), order.map(({ type }) => type).join(', ')).toEqual(expected);
    }
  });

  test('an event before the last one is STALE, and of two of one type the one received last is applied', async () => {
    const { clients, subscribe } = await startWithAccount();
    const events = [deleted, updated, created, deleted];
    const { deliveries } = await subscribe('ada@example.org', events);
    const outcomes = [];
    for (const each of deliveries) outcomes.push((await clients(wire).accounts.applyBillingEvent(each)).outcome);
    expect(outcomes).toEqual([Outcome.APPLIED, Outcome.STALE, Outcome.STALE, Outcome.APPLIED]);
  });

  test('events of one time that are delivered in parallel to two replicas have the order of their types', async () => {
    const barrier = new Barrier('ApplyBillingEvent');
    const { clients, subscribe } = await startWithAccount({ replicas: 2, inner: [barrier.interceptor()] });
    const events = Array.from({ length: 20 }, (_, i) => [updated, created, deleted, paid][i % 4]!);
    const { deliveries, subscription } = await subscribe('ada@example.org', events);
    barrier.expect(20);
    const { errors } = await together((i) => clients(wire, i).accounts.applyBillingEvent(deliveries[i]!), 20);
    expect(errors).toEqual([]);
    expect((await subscription()).status).toBe(CANCELED);
  });
});
