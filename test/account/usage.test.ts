// @serializable
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AccountRole, type Usage } from '../../gen/gatehouse/v1/account_pb.ts';
import { nextReset } from '../../src/account/usage/month.ts';
import { ada, asService, bob } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { crowd, together } from '../support/race.ts';
import { reasonOf, refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';
import { webhook } from '../support/webhook.ts';

const quotas = { QUOTA_ANONYMOUS: '10', QUOTA_FREE: '25', QUOTA_PAID: '100', REFERRAL_BONUS: '5' };
const machine = { case: 'fingerprint', value: 'machine-1' } as const;

async function subscribe(service: TestService, accountId: string, status: string): Promise<void> {
  const data = { account_id: accountId, status };
  await service.clients('json').accounts.applyBillingEvent(webhook({ data, timestamp: service.now() }));
}

const numbers = ({ usage, limit, subscriptionActive }: Usage) => [Number(usage), Number(limit), subscriptionActive];

describe.each(wires)('over %s', (wire) => {
  test('limits are 1000 for a fingerprint, 2500 for a user and 10000 with an active subscription', async () => {
    const service = await start();
    const { accounts } = service.clients(wire);
    const { as, account } = await service.welcome();
    const guest = await service.guest();
    const usage = async (of: Promise<{ usage?: Usage | undefined }>) => numbers((await of).usage!);
    expect(await usage(accounts.getUsage({ subject: machine }, asService))).toEqual([0, 1000, false]);
    expect(await usage(accounts.getUsage({}, guest.as))).toEqual([0, 1000, false]);
    expect(await usage(accounts.getUsage({}, as)), 'a trial raises no quota').toEqual([0, 2500, false]);
    await subscribe(service, account.id, 'active');
    expect(await usage(accounts.getUsage({}, as))).toEqual([0, 10_000, true]);
    await subscribe(service, account.id, 'canceled');
    expect(await usage(accounts.getUsage({}, as))).toEqual([0, 2500, false]);
  });

  test('SignIn and GetMe return what was used and when the count is reset', async () => {
    const service = await start({ env: quotas });
    const { accounts, auth } = service.clients(wire);
    const { as, user } = await service.welcome();
    const { usage } = await accounts.consumeUsage({ amount: 7 }, as);
    expect(numbers(usage!)).toEqual([7, 25, false]);
    expect(timestampDate(usage!.nextResetTime!)).toEqual(nextReset(timestampDate(user.createTime!), service.now()));
    expect((await auth.signIn(ada)).account!.usage).toEqual(usage);
    expect((await auth.getMe({}, as)).account!.usage).toEqual(usage);
    expect((await accounts.getUsage({}, as)).usage).toEqual(usage);
    const subject = { case: 'userId', value: user.id } as const;
    expect((await accounts.getUsage({ subject }, asService)).usage).toEqual(usage);
  });

  test('an amount is consumed as a whole or refused, and reading is never refused', async () => {
    const service = await start({ env: quotas });
    const { accounts, auth, sessions } = service.clients(wire);
    const { as, tokens } = await service.welcome();
    const { usage } = await accounts.consumeUsage({ amount: 24 }, as);
    const tooMuch = await refusalWithoutTrace(service.database, () => accounts.consumeUsage({ amount: 2 }, as));
    expect(tooMuch).toMatchObject({
      code: Code.ResourceExhausted,
      reason: 'QUOTA_EXCEEDED',
      metadata: { usage: '24', limit: '25', reset: timestampDate(usage!.nextResetTime!).toISOString() },
    });
    await accounts.consumeUsage({ amount: 1 }, as);
    expect((await refusalOf(accounts.consumeUsage({ amount: 1 }, as))).metadata.usage).toBe('25');
    await auth.signIn(ada);
    await accounts.getUsage({}, as);
    await sessions.signOut({ refreshToken: tokens.refreshToken });
  });

  test('with an active subscription no amount is refused, and all of it is counted', async () => {
    const service = await start({ env: quotas });
    const { accounts } = service.clients(wire);
    const { as, account } = await service.welcome();
    await subscribe(service, account.id, 'active');
    await accounts.consumeUsage({ amount: 99 }, as);
    const { usage } = await accounts.consumeUsage({ amount: 1000 }, as);
    expect(numbers(usage!)).toEqual([1099, 100, true]);
    for (const status of ['past_due', 'unpaid', 'paused', 'canceled', 'trialing']) {
      await subscribe(service, account.id, status);
      const refusal = await refusalOf(accounts.consumeUsage({ amount: 1 }, as));
      expect(refusal, status).toMatchObject({ reason: 'QUOTA_EXCEEDED', metadata: { usage: '1099', limit: '25' } });
    }
  });

  test('the subscription of the current account counts, whichever member pays for it', async () => {
    const service = await start({ env: quotas });
    const { accounts } = service.clients(wire);
    const host = await service.welcome(ada);
    const guest = await service.welcome(bob);
    const accountId = host.account.id;
    await accounts.addMember({ accountId, userId: guest.user.id, role: AccountRole.VIEWER }, asService);
    await subscribe(service, accountId, 'active');
    const limit = async () => Number((await accounts.getUsage({}, guest.as)).usage!.limit);
    expect(await limit()).toBe(25);
    await accounts.switchAccount({ accountId }, guest.as);
    expect(await limit()).toBe(100);
    await accounts.consumeUsage({ amount: 30 }, guest.as);
    await accounts.removeMember({ accountId, userId: guest.user.id }, host.as);
    expect(await limit()).toBe(25);
    expect((await refusalOf(accounts.consumeUsage({ amount: 1 }, guest.as))).reason).toBe('QUOTA_EXCEEDED');
  });

  test('an account that a user is no member of does not raise their limit, even when their row names it', async () => {
    const service = await start({ env: quotas });
    const { accounts, auth } = service.clients(wire);
    const host = await service.welcome(ada);
    const { as, user, account } = await service.welcome(bob);
    await subscribe(service, host.account.id, 'active');
    const say = (accountId: string) =>
      service.database.query('update users set current_account_id = $2 where id = $1', [user.id, accountId]);
    await say(host.account.id);
    expect(numbers((await accounts.getUsage({}, as)).usage!)).toEqual([0, 25, false]);
    expect(numbers((await accounts.consumeUsage({ amount: 25 }, as)).usage!)).toEqual([25, 25, false]);
    expect((await refusalOf(accounts.consumeUsage({ amount: 1 }, as))).reason).toBe('QUOTA_EXCEEDED');
    expect((await auth.getMe({}, as)).account).toBeUndefined();
    await say(account.id);
  });

  test.each(['a user', 'a fingerprint'])(
    'of parallel calls exactly as many consume as the quota has room for: %s',
    async (who) => {
      const service = await start({ env: quotas, replicas: 2 });
      const { as } = await service.welcome();
      const isUser = who === 'a user';
      const limit = isUser ? 25 : 10;
      const consume = (amount: number, i = 0) => {
        const { accounts } = service.clients(wire, i);
        return isUser
          ? accounts.consumeUsage({ amount }, as)
          : accounts.consumeUsage({ amount, subject: machine }, asService);
      };
      for (const left of [3, 10].filter((each) => each <= limit && each < crowd)) {
        await service.database.query('delete from usage_counters');
        if (left < limit) await consume(limit - left);
        const { answers, errors } = await together((i) => consume(1, i));
        expect(answers).toHaveLength(left);
        expect(answers.map((each) => Number(each.usage!.usage)).toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: left }, (_, i) => limit - left + 1 + i),
        );
        expect(errors.map(reasonOf)).toEqual(Array(crowd - left).fill('QUOTA_EXCEEDED'));
      }
    },
  );

  test('a first call of the month consumes, even when another call begins the month between its statements', async () => {
    const proxy = await startProxy();
    const service = await start({ env: { ...quotas, DATABASE_POOL_SIZE: '3' }, databaseUrl: proxy.url });
    const { accounts } = service.clients(wire);
    const consume = () => accounts.consumeUsage({ amount: 1, subject: machine }, asService);
    const held = proxy.hold('after', 'usage_consume_fingerprint');
    const late = consume();
    const link = await held;
    expect(Number((await consume()).usage!.usage)).toBe(1);
    link.letGo();
    expect(Number((await late).usage!.usage)).toBe(2);
  });

  test('the usage of a fingerprint and the usage of a user are counted apart', async () => {
    const service = await start({ env: quotas });
    const { accounts } = service.clients(wire);
    const { as, user } = await service.welcome();
    await accounts.consumeUsage({ amount: 10, subject: machine }, asService);
    await accounts.consumeUsage({ amount: 25 }, as);
    const other = { case: 'fingerprint', value: user.id } as const;
    await accounts.consumeUsage({ amount: 10, subject: other }, asService);
    const bySubject = { amount: 1, subject: { case: 'userId', value: user.id } } as const;
    for (const call of [
      () => accounts.consumeUsage({ amount: 1, subject: machine }, asService),
      () => accounts.consumeUsage({ amount: 1, subject: other }, asService),
      () => accounts.consumeUsage({ amount: 1 }, as),
      () => accounts.consumeUsage(bySubject, asService),
    ])
      expect((await refusalOf(call())).reason).toBe('QUOTA_EXCEEDED');
  });

  test('a user may not name a subject, and a backend has to', async () => {
    const service = await start();
    const { accounts } = service.clients(wire);
    const { as } = await service.welcome(ada);
    const { user } = await service.welcome(bob);
    const subject = { case: 'userId', value: user.id } as const;
    for (const call of [accounts.getUsage, accounts.consumeUsage]) {
      expect((await refusalOf(call({ amount: 1, subject }, as))).reason).toBe('CALLER_NOT_ALLOWED');
      expect((await refusalOf(call({ amount: 1, subject: machine }, as))).reason).toBe('CALLER_NOT_ALLOWED');
      expect((await refusalOf(call({ amount: 1 }, asService))).fields).toEqual(['subject']);
    }
    for (const value of ['', 'a b', 'a.b', 'ü', 'x'.repeat(129)])
      expect(
        (await refusalOf(accounts.getUsage({ subject: { case: 'fingerprint', value } }, asService))).fields,
      ).toEqual(['fingerprint']);
  });

  test('after the reset the count begins at zero, and the day of the month is kept', async () => {
    const service = await start({ env: quotas });
    const { accounts } = service.clients(wire);
    const noon = new Date(Date.UTC(service.now().getUTCFullYear() + 1, 0, 31, 12));
    const go = (to: Date) => service.pass((to.getTime() - service.now().getTime()) / 1000);
    const consume = async (amount: number) => {
      const { usage } = await accounts.consumeUsage({ amount, subject: machine }, asService);
      return [Number(usage!.usage), timestampDate(usage!.nextResetTime!).toISOString().slice(0, 10)];
    };
    go(noon);
    const year = noon.getUTCFullYear();
    const lastOfFebruary = new Date(Date.UTC(year, 2, 0)).toISOString().slice(0, 10);
    expect(await consume(10)).toEqual([10, lastOfFebruary]);
    expect((await refusalOf(consume(1))).reason).toBe('QUOTA_EXCEEDED');
    go(new Date(`${lastOfFebruary}T13:00:00Z`));
    const { usage } = await accounts.getUsage({ subject: machine }, asService);
    expect(Number(usage!.usage)).toBe(0);
    expect(await consume(4)).toEqual([4, `${year}-03-31`]);
    go(new Date(Date.UTC(year, 5, 15)));
    expect(await consume(1)).toEqual([1, `${year}-06-30`]);
  });

  test('with USAGE off nothing is counted, redeemed or returned', async () => {
    const service = await start({ env: { USAGE: 'off' } });
    const { accounts, auth } = service.clients(wire);
    const { as } = await service.welcome();
    for (const call of [
      () => accounts.getUsage({}, as),
      () => accounts.consumeUsage({ amount: 1 }, as),
      () => accounts.getReferral({}, as),
      () => accounts.redeemReferral({ code: 'ref-x' }, as),
    ])
      expect(await refusalWithoutTrace(service.database, call)).toMatchObject({
        code: Code.FailedPrecondition,
        reason: 'USAGE_DISABLED',
      });
    const { account } = await auth.getMe({}, as);
    expect(account!.usage).toBeUndefined();
    expect(account!.account!.subscription!.plan).toBe('pro');
  });
});

const time = fc.date({ min: new Date('1970-01-01'), max: new Date('9000-01-01'), noInvalidDate: true });
const lastDay = (at: Date) => new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 0)).getUTCDate();

test("months end on the anchor's day, or on the last day of a month that lacks it, and no month is skipped", () => {
  fc.assert(
    fc.property(time, fc.nat({ max: 40 }), (anchor, count) => {
      let end = anchor;
      for (let i = 1; i <= count; i++) {
        const next = nextReset(anchor, end);
        const months = (at: Date) => at.getUTCFullYear() * 12 + at.getUTCMonth();
        expect(months(next) - months(end)).toBe(1);
        expect(next.getUTCDate()).toBe(Math.min(anchor.getUTCDate(), lastDay(next)));
        expect(next.getTime() % 86_400_000).toBe(anchor.getTime() % 86_400_000);
        end = next;
      }
    }),
  );
});

test('every moment lies in one month, whose end is after it', () => {
  fc.assert(
    fc.property(time, fc.nat({ max: 100 * 366 * 86_400_000 }), (anchor, later) => {
      const now = new Date(anchor.getTime() + later);
      const end = nextReset(anchor, now);
      expect(end.getTime()).toBeGreaterThan(now.getTime());
      const justBefore = new Date(end.getTime() - 1);
      expect(nextReset(anchor, justBefore)).toEqual(end);
      expect(end.getTime() - now.getTime()).toBeLessThanOrEqual(31 * 86_400_000);
    }),
  );
});

test.each([
  ['2027-01-31T12:00:00Z', '2027-01-31T12:00:00Z', '2027-02-28T12:00:00Z'],
  ['2027-01-31T12:00:00Z', '2027-02-28T12:00:00Z', '2027-03-31T12:00:00Z'],
  ['2027-01-31T12:00:00Z', '2027-02-28T11:59:59Z', '2027-02-28T12:00:00Z'],
  ['2028-01-31T00:00:00Z', '2028-02-01T00:00:00Z', '2028-02-29T00:00:00Z'],
  ['2026-12-31T23:59:59Z', '2027-01-01T00:00:00Z', '2027-01-31T23:59:59Z'],
  ['2026-11-30T00:00:00Z', '2027-02-27T00:00:00Z', '2027-02-28T00:00:00Z'],
])('a month counted from %s ends, seen at %s, at %s', (anchor, now, end) => {
  expect(nextReset(new Date(anchor), new Date(now))).toEqual(new Date(end));
});
