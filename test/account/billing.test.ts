// @serializable
import { createHash } from 'node:crypto';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { BillingEventOutcome as Outcome, SubscriptionStatus } from '../../gen/gatehouse/v1/account_pb.ts';
import { billingSecret } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { refusalWithoutTrace } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';
import { sign, webhook } from '../support/webhook.ts';

const { ACTIVE, CANCELED, PAST_DUE, TRIALING } = SubscriptionStatus;
const otherSecret = createHash('sha256').update('another billing secret').digest();

async function startWithAccount(options: Parameters<typeof start>[0] = {}) {
  const service = await start(options);
  const { as, user, account } = await service.welcome();
  const later = (seconds: number) => new Date(service.now().getTime() + seconds * 1000);
  const event = (status: string, timestamp = service.now(), more: object = {}) => ({
    timestamp,
    data: { account_id: account.id, status, ...more },
  });
  const subscription = async () =>
    (await service.clients('json').accounts.getAccount({ accountId: account.id }, as)).account!.subscription!;
  return { service, account, user, as, later, event, subscription };
}

const summary = async ({ clients }: TestService, as: object) => {
  const { usage } = await clients('json').accounts.getUsage({}, as);
  return [Number(usage!.limit), usage!.subscriptionActive];
};

describe.each(wires)('over %s', (wire) => {
  test('a subscription that begins or ends changes the limit and the flag at once', async () => {
    const { service, as, event, subscription, later } = await startWithAccount();
    const { accounts } = service.clients(wire);
    const period = {
      plan: 'team',
      current_period_start: '2026-11-01T00:00:00Z',
      current_period_end: '2026-12-01T00:00:00Z',
    };
    const begun = await accounts.applyBillingEvent(webhook(event('active', service.now(), period)));
    expect(begun.outcome).toBe(Outcome.APPLIED);
    expect(await summary(service, as)).toEqual([10_000, true]);
    const { plan, status, currentPeriodEndTime } = await subscription();
    expect([plan, status]).toEqual(['team', ACTIVE]);
    expect(timestampDate(currentPeriodEndTime!)).toEqual(new Date('2026-12-01'));
    const ended = { ...event('active', later(1)), type: 'subscription.deleted' };
    expect((await accounts.applyBillingEvent(webhook(ended))).outcome).toBe(Outcome.APPLIED);
    expect(await summary(service, as)).toEqual([2500, false]);
    expect(await subscription()).toMatchObject({ plan: 'team', status: CANCELED });
  });

  test('only an active subscription raises the limit', async () => {
    const { service, as, event, subscription, later } = await startWithAccount();
    const { accounts } = service.clients(wire);
    const expected = {
      active: ACTIVE,
      past_due: PAST_DUE,
      unpaid: PAST_DUE,
      incomplete: PAST_DUE,
      paused: PAST_DUE,
      trialing: TRIALING,
      canceled: CANCELED,
      incomplete_expired: CANCELED,
    };
    for (const [i, [status, shown]] of Object.entries(expected).entries()) {
      await accounts.applyBillingEvent(webhook(event(status, later(i))));
      expect((await subscription()).status, status).toBe(shown);
      expect(await summary(service, as), status).toEqual(status === 'active' ? [10_000, true] : [2500, false]);
    }
  });

  test('an event is applied once, and never over a later one, in any order of delivery', async () => {
    const { service, event, subscription, later } = await startWithAccount();
    const { accounts } = service.clients(wire);
    const first = webhook(event('active', later(-60)), { sentAt: service.now() });
    const last = webhook(event('canceled', later(0)), { sentAt: service.now() });
    const outcomes = [];
    for (const each of [last, first, first, last]) outcomes.push((await accounts.applyBillingEvent(each)).outcome);
    expect(outcomes).toEqual([Outcome.APPLIED, Outcome.STALE, Outcome.DUPLICATE, Outcome.DUPLICATE]);
    expect((await subscription()).status).toBe(CANCELED);
    const other = { type: 'customer.created', data: {}, timestamp: service.now() };
    expect((await accounts.applyBillingEvent(webhook(other))).outcome).toBe(Outcome.IGNORED);
  });

  test('of parallel deliveries of one event one is applied', async () => {
    const barrier = new Barrier('ApplyBillingEvent');
    const { service, user, event } = await startWithAccount({ replicas: 2, inner: [barrier.interceptor()] });
    const delivery = webhook(event('active'));
    barrier.expect(crowd);
    const { answers, errors } = await together((i) => service.clients(wire, i).accounts.applyBillingEvent(delivery));
    expect(errors).toEqual([]);
    const outcomes = answers.map(({ outcome }) => outcome).toSorted();
    expect(outcomes).toEqual([Outcome.APPLIED, ...Array(crowd - 1).fill(Outcome.DUPLICATE)]);
    const events = `select user_id from audit_events where action = 'account.subscription'`;
    expect(await service.database.query(events), 'of the owner of the account').toEqual([{ user_id: user.id }]);
  });

  test('a webhook with another content, another signature or another time than signed is refused', async () => {
    const { service, event, later } = await startWithAccount();
    const good = webhook(event('active'));
    const { webhookId: id, webhookTimestamp: at, payload } = good;
    const signed = (timestamp: string) => sign(id, timestamp, payload, billingSecret);
    const bad = {
      'another payload': { ...good, payload: webhook(event('canceled')).payload },
      'another id': { ...good, webhookId: 'evt_other' },
      'another time': { ...good, webhookTimestamp: `${Number(at) + 1}` },
      'another secret': webhook(event('active'), { secret: otherSecret }),
      'no version': { ...good, webhookSignature: good.webhookSignature.slice(3) },
      'another version': { ...good, webhookSignature: good.webhookSignature.replace('v1', 'v2') },
      'half a signature': { ...good, webhookSignature: good.webhookSignature.slice(0, 20) },
      'an empty signature': { ...good, webhookSignature: 'v1,' },
      'too old': webhook(event('active'), { sentAt: later(-301) }),
      'too new': webhook(event('active'), { sentAt: later(330) }),
      'a time that is no number': { ...good, webhookTimestamp: 'NaN', webhookSignature: signed('NaN') },
      'a time with an exponent': { ...good, webhookTimestamp: '1e9', webhookSignature: signed('1e9') },
    };
    for (const [what, each] of Object.entries(bad)) {
      const call = () => service.clients(wire).accounts.applyBillingEvent(each);
      expect(await refusalWithoutTrace(service.database, call), what).toMatchObject({
        code: Code.Unauthenticated,
        reason: 'BILLING_SIGNATURE_INVALID',
      });
    }
    await service.clients(wire).accounts.applyBillingEvent(webhook(event('active'), { sentAt: later(-290) }));
  });

  test('during a rotation both secrets sign, also the same webhook, and without a secret every webhook is refused', async () => {
    const secrets = [billingSecret, otherSecret].map((each) => `whsec_${each.toString('base64')}`).join(',');
    const { service, event, later } = await startWithAccount({ env: { BILLING_WEBHOOK_SECRETS: secrets } });
    const { accounts } = service.clients(wire);
    for (const [i, secret] of [billingSecret, otherSecret].entries()) {
      const delivery = webhook(event('active', later(i)), { secret, sentAt: service.now() });
      expect((await accounts.applyBillingEvent(delivery)).outcome).toBe(Outcome.APPLIED);
    }
    const twice = webhook(event('canceled', later(2)), { sentAt: service.now() });
    const webhookSignature = `v1,${'A'.repeat(43)}= v2,x ${twice.webhookSignature}`;
    expect((await accounts.applyBillingEvent({ ...twice, webhookSignature })).outcome).toBe(Outcome.APPLIED);
    const closed = await start({ env: { BILLING_WEBHOOK_SECRETS: '' } });
    const call = () => closed.clients(wire).accounts.applyBillingEvent(webhook(event('active')));
    expect((await refusalWithoutTrace(closed.database, call)).reason).toBe('BILLING_SIGNATURE_INVALID');
  });

  test('a signed event that is malformed is refused, and one for an unknown account can be sent again', async () => {
    const { service, event } = await startWithAccount();
    const { accounts } = service.clients(wire);
    for (const more of [
      { status: 'splendid' },
      { account_id: 'x' },
      { current_period_end: 'soon' },
      { plan: 7 },
      { plan: '' },
    ])
      expect(
        await refusalWithoutTrace(service.database, () =>
          accounts.applyBillingEvent(webhook(event('active', service.now(), more))),
        ),
        JSON.stringify(more),
      ).toMatchObject({ code: Code.InvalidArgument, reason: 'BILLING_EVENT_INVALID' });
    for (const text of ['', 'null', '[]', '{"type":1}', '{', '\xff']) {
      const payload = Buffer.from(text || ' ', 'latin1');
      const delivery = webhook(event('active'));
      const { webhookId, webhookTimestamp } = delivery;
      const webhookSignature = sign(webhookId, webhookTimestamp, payload, billingSecret);
      const call = () => accounts.applyBillingEvent({ ...delivery, payload, webhookSignature });
      expect((await refusalWithoutTrace(service.database, call)).reason, text).toBe('BILLING_EVENT_INVALID');
    }
    const unknown = webhook(event('active', service.now(), { account_id: '01900000-0000-7000-8000-000000000000' }));
    for (let i = 0; i < 2; i++)
      expect((await refusalWithoutTrace(service.database, () => accounts.applyBillingEvent(unknown))).reason).toBe(
        'ACCOUNT_NOT_FOUND',
      );
  });
});
