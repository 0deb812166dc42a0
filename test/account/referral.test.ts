// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { ada, asService, bob } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { reasonOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

let count = 0;

async function someone(service: TestService) {
  const person = { email: `someone-${++count}@example.org`, password: 'a long enough phrase' };
  const { as, user } = await service.welcome(person);
  const { code } = await service.clients('json').accounts.getReferral({}, as);
  return { as, user, code };
}

async function limitOf(service: TestService, { as }: { as: object }): Promise<number> {
  return Number((await service.clients('json').accounts.getUsage({}, as)).usage!.limit);
}

describe.each(wires)('over %s', (wire) => {
  test('a referral code stays the same, and both sides of a referral get the bonus', async () => {
    const service = await start({ env: { FRONTEND_URL: 'https://app.example.com' } });
    const { accounts } = service.clients(wire);
    const [giver, taker] = [await service.welcome(ada), await service.welcome(bob)];
    const referral = await accounts.getReferral({}, giver.as);
    expect(referral).toMatchObject({ count: 0, limit: 5 });
    expect(referral.code).toMatch(/^ref-[a-z2-9]{16}$/);
    expect(referral.link).toBe(`https://app.example.com/?referral_code=${referral.code}`);
    const { usage } = await accounts.redeemReferral({ code: ` ${referral.code.toUpperCase()}` }, taker.as);
    expect(Number(usage!.limit)).toBe(3000);
    expect(await limitOf(service, giver)).toBe(3000);
    expect(await accounts.getReferral({}, giver.as)).toEqual({ ...referral, count: 1 });
    const events = await service.database.query(`select user_id from audit_events where action = 'referral.redeem'`);
    expect(events).toEqual([{ user_id: taker.user.id }]);
  });

  test("an unknown code, one's own, a second one, a mutual one and one that was redeemed five times are refused", async () => {
    const service = await start();
    const { accounts, admin } = service.clients(wire);
    const [giver, taker, third] = [await someone(service), await someone(service), await someone(service)];
    const refused = (code: string, { as }: { as: object }) =>
      refusalWithoutTrace(service.database, () => accounts.redeemReferral({ code }, as));
    expect(await refused('ref-none', taker)).toMatchObject({ code: Code.NotFound, reason: 'REFERRAL_CODE_NOT_FOUND' });
    expect(await refused(giver.code, giver)).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'OWN_REFERRAL_CODE',
    });
    await accounts.redeemReferral({ code: giver.code }, taker.as);
    for (const code of [giver.code, third.code])
      expect(await refused(code, taker)).toMatchObject({
        code: Code.AlreadyExists,
        reason: 'REFERRAL_ALREADY_REDEEMED',
      });
    expect(await refused(taker.code, giver)).toMatchObject({ code: Code.AlreadyExists, reason: 'MUTUAL_REFERRAL' });
    for (let i = 0; i < 4; i++) await accounts.redeemReferral({ code: giver.code }, (await someone(service)).as);
    expect(await refused(giver.code, third)).toMatchObject({
      code: Code.ResourceExhausted,
      reason: 'REFERRAL_LIMIT_REACHED',
    });
    expect(await limitOf(service, giver)).toBe(2500 + 5 * 500);
    await admin.deleteUser({ userId: taker.user.id }, asService);
    expect((await refused(taker.code, third)).reason).toBe('REFERRAL_CODE_NOT_FOUND');
  });

  test('of parallel redemptions by one user one counts', async () => {
    const barrier = new Barrier('RedeemReferral');
    const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
    const givers = [await someone(service), await someone(service)];
    const taker = await someone(service);
    barrier.expect(crowd);
    const { answers, errors } = await together((i) =>
      service.clients(wire, i).accounts.redeemReferral({ code: givers[i % 2]!.code }, taker.as),
    );
    expect(answers).toHaveLength(1);
    expect(errors.map(reasonOf)).toEqual(Array(crowd - 1).fill('REFERRAL_ALREADY_REDEEMED'));
    const limits = [
      await limitOf(service, taker),
      await limitOf(service, givers[0]!),
      await limitOf(service, givers[1]!),
    ];
    expect(limits.toSorted()).toEqual([2500, 3000, 3000]);
  });

  test('of parallel redemptions of one code five succeed', async () => {
    const barrier = new Barrier('RedeemReferral');
    const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
    const giver = await someone(service);
    const takers: Awaited<ReturnType<typeof someone>>[] = [];
    for (let i = 0; i < Math.max(crowd, 8); i++) takers.push(await someone(service));
    barrier.expect(takers.length);
    const { answers, errors } = await together(
      (i) => service.clients(wire, i).accounts.redeemReferral({ code: giver.code }, takers[i]!.as),
      takers.length,
    );
    expect(answers).toHaveLength(5);
    expect(errors.map(reasonOf)).toEqual(Array(takers.length - 5).fill('REFERRAL_LIMIT_REACHED'));
    expect(await limitOf(service, giver)).toBe(5000);
  });

  test("of two users who redeem each other's codes in parallel one succeeds", async () => {
    const barrier = new Barrier('RedeemReferral');
    const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
    for (let round = 0; round < 5; round++) {
      const [one, two] = [await someone(service), await someone(service)];
      barrier.expect(2);
      const { answers, errors } = await together((i) => {
        const { accounts } = service.clients(wire, i);
        return i
          ? accounts.redeemReferral({ code: one.code }, two.as)
          : accounts.redeemReferral({ code: two.code }, one.as);
      }, 2);
      expect(answers).toHaveLength(1);
      expect(errors.map(reasonOf)).toEqual(['MUTUAL_REFERRAL']);
    }
  });
});
