import { describe, expect, test } from 'vitest';
import { FactorType } from '../../gen/gatehouse/v1/factor_pb.ts';
import { codeOf, enrollApp, useApp, verifyCode } from '../support/authenticator.ts';
import { ada } from '../support/people.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };
// The limits of the contract. Those of client addresses are tested elsewhere.
const contract = { LIMITS: 'AuthService.SignIn=off,MfaService.EnrollFactor=off,MfaService.VerifyFactor=off' };

describe.each(wires)('over %s', (wire) => {
  test('wrong codes lock a factor for a quarter of an hour, and no other factor', async () => {
    const service = await start({ env: { LIMITS: 'AuthService.SignIn=off' } });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const first = await useApp(clients, as, service.now());
    const raised = bearer(first.tokens!);
    const second = await enrollApp(clients, raised, 'tablet');
    const { tokens } = await verifyCode(clients, raised, second.factorId, codeOf(second.secret, service.now()));
    const { codes, factor } = await clients.mfa.generateRecoveryCodes({}, bearer(tokens!));
    service.pass(61);
    const thief = (await service.signIn()).as;
    for (let time = 0; time < 5; time++)
      expect((await refusalOf(verifyCode(clients, thief, first.factorId, '000000'))).reason).toBe(
        'MFA_VERIFICATION_FAILED',
      );
    const right = codeOf(first.secret, service.now());
    const locked = await refusalOf(verifyCode(clients, thief, first.factorId, right));
    expect(locked.reason).toBe('OVER_REQUEST_RATE_LIMIT');
    expect(locked.retryAfter).toBeGreaterThan(800);
    const owner = (await service.signIn()).as;
    await verifyCode(clients, owner, second.factorId, codeOf(second.secret, service.now()));
    const other = (await service.signIn()).as;
    await verifyCode(clients, other, factor!.id, codes[0]!);
    service.pass(901);
    const later = (await service.signIn()).as;
    await verifyCode(clients, later, first.factorId, codeOf(first.secret, service.now()));
  });

  test('after a hundred wrong codes in a row a factor is refused for a month, and another one is not', async () => {
    const limits = ['VerifyFactor:account', 'ChallengeFactor:session', 'ChallengeFactor', 'VerifyFactor'];
    const LIMITS = ['AuthService.SignIn=off', ...limits.map((each) => `MfaService.${each}=off`)].join(',');
    const service = await start({ env: { LIMITS } });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const phone = await useApp(clients, as, service.now());
    const tablet = await useApp(clients, bearer(phone.tokens!), service.now(), 'tablet');
    const thief = (await service.signIn()).as;
    const tryCode = (code: string) => refusalOf(verifyCode(clients, thief, phone.factorId, code));
    for (let n = 0; n < 60; n++) expect((await tryCode('000000')).reason).toBe('MFA_VERIFICATION_FAILED');
    service.pass(7200);
    // The success of another factor does not reset the count.
    const owner = (await service.signIn()).as;
    await verifyCode(clients, owner, tablet.factorId, codeOf(tablet.secret, service.now()));
    const again = (await service.signIn()).as;
    const reasons: (string | undefined)[] = [];
    for (let n = 60; n < 105; n++)
      reasons.push((await refusalOf(verifyCode(clients, again, phone.factorId, '000000'))).reason);
    expect(reasons.filter((each) => each === 'MFA_VERIFICATION_FAILED')).toHaveLength(40);
    expect(reasons.at(-1)).toBe('OVER_REQUEST_RATE_LIMIT');
    service.pass(29 * 86_400);
    const late = (await service.signIn()).as;
    const right = (by: typeof as) => verifyCode(clients, by, phone.factorId, codeOf(phone.secret, service.now()));
    expect((await refusalOf(right(late))).reason).toBe('OVER_REQUEST_RATE_LIMIT');
    await verifyCode(clients, late, tablet.factorId, codeOf(tablet.secret, service.now()));
    service.pass(86_400);
    await right((await service.signIn()).as);
  });

  test('recovery codes are tried no more often than codes of an app', async () => {
    const service = await start({ env: contract });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { tokens } = await useApp(clients, as, service.now());
    const { codes, factor } = await clients.mfa.generateRecoveryCodes({}, bearer(tokens!));
    service.pass(61);
    const thief = (await service.signIn()).as;
    const seen: (string | undefined)[] = [];
    for (let time = 0; time < 8; time++)
      seen.push((await refusalOf(verifyCode(clients, thief, factor!.id, '00000-00000-00000-00000'))).reason);
    expect(seen.filter((each) => each === 'MFA_VERIFICATION_FAILED')).toHaveLength(5);
    expect((await refusalOf(verifyCode(clients, thief, factor!.id, codes[0]!))).reason).toBe('OVER_REQUEST_RATE_LIMIT');
  });

  test('fifteen challenges begin in a minute, in whatever sessions of the user', async () => {
    const service = await start({ env: { LIMITS: 'AuthService.SignIn=off' } });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { factorId } = await enrollApp(clients, as);
    const other = (await service.signIn()).as;
    let begun = 0;
    for (let time = 0; time < 40; time++)
      await clients.mfa.challengeFactor({ factorId }, time % 2 ? as : other).then(
        () => begun++,
        (error) => expect(reasonOf(error)).toBe('OVER_REQUEST_RATE_LIMIT'),
      );
    expect(begun).toBe(15);
  });

  test('a user has ten factors at most, and abandoned enrolments make room after five minutes', async () => {
    const service = await start({ env: contract });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const reasons: (string | undefined)[] = [];
    for (let n = 0; n < 60; n++)
      await clients.mfa
        .enrollFactor({ type: FactorType.TOTP, friendlyName: `app ${n}` }, as)
        .catch((error) => reasons.push(reasonOf(error)));
    expect(reasons).toEqual(Array(50).fill('FACTOR_LIMIT_REACHED'));
    expect((await clients.mfa.listFactors({}, as)).factors).toHaveLength(10);
    service.pass(301);
    await enrollApp(clients, as, 'another');
    expect((await clients.mfa.listFactors({}, as)).factors.map(({ friendlyName }) => friendlyName)).toEqual([
      'another',
    ]);
  });

  test('a challenge admits five codes, expires after five minutes, and belongs to its session and its factor', async () => {
    const service = await start();
    const { mfa } = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { factorId, secret } = await enrollApp({ mfa }, as);
    const other = await enrollApp({ mfa }, as, 'tablet');
    const verify = (challengeId: string, code: string, caller = as, id = factorId) =>
      mfa.verifyFactor({ factorId: id, challengeId, proof: { case: 'code', value: code } }, caller);
    const right = () => codeOf(secret, service.now());
    const begin = async () => (await mfa.challengeFactor({ factorId }, as)).challengeId;
    const expired = async (call: Promise<unknown>) =>
      expect((await refusalOf(call)).reason).toBe('MFA_CHALLENGE_EXPIRED');

    const tried = await begin();
    for (let time = 0; time < 5; time++)
      expect((await refusalOf(verify(tried, '12345x'))).reason).toBe('MFA_VERIFICATION_FAILED');
    await expired(verify(tried, right()));
    const late = await begin();
    service.pass(301);
    await expired(verify(late, right()));
    await expired(verify('018f3c2e-0000-7000-8000-000000000001', right()));
    const elsewhere = (await service.signIn()).as;
    await expired(verify(await begin(), right(), elsewhere));
    await expired(verify(await begin(), codeOf(other.secret, service.now()), as, other.factorId));
    const { challengeId, expireTime } = await mfa.challengeFactor({ factorId }, as);
    expect(Number(expireTime!.seconds) * 1000 - service.now().getTime()).toBeGreaterThan(298_000);
    const { tokens } = await verify(challengeId, right());
    service.pass(30);
    await expired(verify(challengeId, right(), bearer(tokens!)));
  });

  test('the factor of another user is as unknown as one that does not exist', async () => {
    const service = await start();
    const { mfa } = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const { factorId, secret } = await enrollApp({ mfa }, as);
    const { challengeId } = await mfa.challengeFactor({ factorId }, as);
    const bob = (await service.welcome({ email: 'bob@example.org', password: 'bob has a long one' })).as;
    const proof = { case: 'code', value: codeOf(secret, service.now()) } as const;
    const nobody = '018f3c2e-0000-7000-8000-000000000001';
    const before = await service.database.checksums();
    const seen = [];
    for (const id of [factorId, nobody]) {
      seen.push(await refusalOf(mfa.challengeFactor({ factorId: id }, bob)));
      seen.push(await refusalOf(mfa.verifyFactor({ factorId: id, challengeId, proof }, bob)));
      seen.push(await refusalOf(mfa.unenrollFactor({ factorId: id }, bob)));
    }
    expect(new Set(seen.map((each) => JSON.stringify(each))).size).toBe(1);
    expect(seen[0]).toMatchObject({ code: 7, reason: 'FACTOR_NOT_FOUND' });
    expect(await service.database.checksums(), 'nothing has changed').toEqual(before);
    await mfa.verifyFactor({ factorId, challengeId, proof }, as);
  });
});
