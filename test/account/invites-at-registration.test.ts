// @serializable
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { describe, expect, onTestFinished, test } from 'vitest';
import { AccountRole, SubscriptionStatus } from '../../gen/gatehouse/v1/account_pb.ts';
import { SystemRole } from '../../gen/gatehouse/v1/user_pb.ts';
import { Joining } from '../../src/account/invites/joining.ts';
import { openOrm } from '../../src/database/orm.ts';
import { transact } from '../../src/database/transaction.ts';
import { User } from '../../src/user/user.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { reasonOf, refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

const day = 86_400_000;
const gate = { REQUIRE_INVITE_CODE: 'on' };

async function inviteInto(service: TestService, email: string, role: AccountRole = AccountRole.MEMBER) {
  const person = { email: 'host@example.org', password: 'a host of languages', name: 'Host', emailVerified: true };
  const host = await service.welcome(person);
  const { accounts } = service.clients('json');
  await accounts.createAccountInvite({ accountId: host.account.id, email, role }, host.as);
  return { accountInviteCode: await tokenFor(service, email), host };
}

describe.each(wires)('over %s', (wire) => {
  test('a new user owns an account that is named after them and on trial', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const { user, account } = await auth.register(ada);
    expect(user!.role).toBe(SystemRole.ENGINEER);
    expect(account!.account).toMatchObject({
      name: "Ada's Account",
      role: AccountRole.OWNER,
      ownerId: user!.id,
      subscription: { plan: 'pro', status: SubscriptionStatus.TRIALING },
    });
    expect(account!.account!.displayCode).toMatch(/^[A-Z0-9]{8}$/);
    const { currentPeriodStartTime: begin, currentPeriodEndTime: end } = account!.account!.subscription!;
    expect(timestampDate(end!).getTime() - timestampDate(begin!).getTime()).toBe(14 * day);
    const { as, account: again } = await service.signIn();
    expect(again).toEqual(account!.account);
    expect((await auth.getMe({}, as)).account).toEqual(account);
  });

  test('a guest has no account until they register, and a user whom a backend creates has one', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const guest = await service.guest();
    expect((await auth.getMe({}, guest.as)).account).toBeUndefined();
    const { user, account } = await auth.register(ada, guest.as);
    expect(account!.account).toMatchObject({ ownerId: user!.id, name: "Ada's Account" });
    expect((await service.welcome({ ...bob, name: '' })).account).toMatchObject({ name: "bob's Account" });
  });

  test('with REQUIRE_INVITE_CODE registering takes a code, unless SELF_SERVE_ENABLED is on', async () => {
    const closed = await start({ env: gate });
    const { auth } = closed.clients(wire);
    const refusal = await refusalWithoutTrace(closed.database, () => auth.register(ada));
    expect(refusal).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'INVITE_CODE_REQUIRED',
      message: 'Invite code is required',
    });
    const open = await start({ env: { ...gate, SELF_SERVE_ENABLED: 'on' } });
    await open.clients(wire).auth.register(ada);
  });

  test.each([{}, gate])(
    'an invite code works once, in any letter case, and other codes are refused (%o)',
    async (env) => {
      const service = await start({ env });
      const { auth, admin } = service.clients(wire);
      await admin.createInviteCode({ code: 'Spring-26' }, asService);
      await admin.createInviteCode({ code: 'old-code', lifetime: { seconds: 60n } }, asService);
      service.pass(61);
      const bad = (inviteCode: string) =>
        refusalWithoutTrace(service.database, () => auth.register({ ...bob, inviteCode }));
      const { user } = await auth.register({ ...ada, inviteCode: ' spring-26' });
      expect(await bad('SPRING-26')).toMatchObject({
        reason: 'INVITE_CODE_USED',
        message: 'Invite code has already been used',
      });
      expect(await bad('old-code')).toMatchObject({
        reason: 'INVITE_CODE_EXPIRED',
        message: 'Invite code has expired',
      });
      expect(await bad('never-was')).toMatchObject({ reason: 'INVALID_INVITE_CODE', message: 'Invalid invite code' });
      const { inviteCodes } = await admin.listInviteCodes({}, asService);
      expect(inviteCodes.map(({ code, usedBy }) => [code, usedBy])).toEqual([
        ['OLD-CODE', ''],
        ['SPRING-26', user!.id],
      ]);
      expect(timestampDate(inviteCodes[1]!.useTime!).getTime()).toBeLessThanOrEqual(service.now().getTime());
    },
  );

  test('the plan of an invite code is active at once, or on trial for as many days as the code has', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const { inviteCode: granted } = await admin.createInviteCode({ assignedPlan: 'team' }, asService);
    const draft = { assignedPlan: 'team', trialDurationDays: 14 };
    const { inviteCode: tried } = await admin.createInviteCode(draft, asService);
    const first = await auth.register({ ...ada, inviteCode: granted!.code });
    expect(first.account!.account!.subscription).toMatchObject({ plan: 'team', status: SubscriptionStatus.ACTIVE });
    expect(first.account!.account!.subscription!.currentPeriodEndTime).toBeUndefined();
    const second = await auth.register({ ...bob, inviteCode: tried!.code });
    const { status, currentPeriodEndTime } = second.account!.account!.subscription!;
    expect(status).toBe(SubscriptionStatus.TRIALING);
    const left = timestampDate(currentPeriodEndTime!).getTime() - service.now().getTime();
    expect(Math.abs(left - 14 * day)).toBeLessThan(60_000);
  });

  test('an invited user joins the account in the role of the invitation, and no new account is opened', async () => {
    const service = await start({ env: gate });
    const { auth, admin } = service.clients(wire);
    const { inviteCode } = await admin.createInviteCode({ code: 'not-needed' }, asService);
    const { accountInviteCode, host } = await inviteInto(service, ada.email, AccountRole.ADMIN);
    const before = await service.database.query('select from accounts');
    const { user, account } = await auth.register({
      ...ada,
      email: 'ADA@Example.org',
      accountInviteCode,
      inviteCode: inviteCode!.code,
    });
    expect(account!.account).toMatchObject({ id: host.account.id, role: AccountRole.ADMIN, ownerId: host.user.id });
    expect(await service.database.query('select from accounts')).toHaveLength(before.length);
    const [invite] = await service.database.query('select accepted_by, used_at from account_invites');
    expect(invite).toEqual({ accepted_by: user!.id, used_at: expect.any(Date) });
    expect(await service.database.query('select from invite_codes where used_at is not null')).toEqual([]);
  });

  test('an invitation that is unknown, used, revoked, expired or for another address is refused with that reason', async () => {
    const service = await start();
    const { auth, accounts } = service.clients(wire);
    const { accountInviteCode, host } = await inviteInto(service, ada.email);
    const bad = (code: string, person = ada) =>
      refusalWithoutTrace(service.database, () => auth.register({ ...person, accountInviteCode: code }));
    const unknown = { reason: 'INVALID_ACCOUNT_INVITE_CODE', message: 'Invalid account invite code' };
    expect(await bad('ghi_unknown')).toMatchObject(unknown);
    expect(await bad(accountInviteCode.toUpperCase()), 'case matters').toMatchObject(unknown);
    expect(await bad(accountInviteCode, bob)).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'INVITE_EMAIL_MISMATCH',
    });
    const accountId = host.account.id;
    const draft = { accountId, email: bob.email, role: AccountRole.VIEWER };
    const revoked = await accounts.createAccountInvite(draft, asService);
    await accounts.revokeAccountInvite({ accountId, inviteId: revoked.invite!.id }, host.as);
    expect(await bad(revoked.accountInviteCode, bob)).toMatchObject(unknown);
    const expiring = await accounts.createAccountInvite(draft, asService);
    await auth.register({ ...ada, accountInviteCode });
    expect(await bad(accountInviteCode)).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'ACCOUNT_INVITE_CODE_USED',
      message: 'Account invite code has already been used',
    });
    service.pass(7 * 86_400);
    expect(await bad(expiring.accountInviteCode, bob)).toMatchObject({
      reason: 'ACCOUNT_INVITE_CODE_EXPIRED',
      message: 'Account invite code has expired',
    });
  });

  test('a refused code is reported before a taken address, and a failed registration uses up no code', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const { accountInviteCode } = await inviteInto(service, ada.email);
    await service.welcome(ada);
    await admin.createInviteCode({ code: 'once-only' }, asService);
    const attempt = (invites: object) => () => auth.register({ ...ada, ...invites });
    const reasonFor = async (invites: object) => (await refusalWithoutTrace(service.database, attempt(invites))).reason;
    expect(await reasonFor({ accountInviteCode: 'none' })).toBe('INVALID_ACCOUNT_INVITE_CODE');
    expect(await reasonFor({ inviteCode: 'none' })).toBe('INVALID_INVITE_CODE');
    expect(await reasonFor({ accountInviteCode })).toBe('EMAIL_ALREADY_REGISTERED');
    expect(await reasonFor({ inviteCode: 'once-only' })).toBe('EMAIL_ALREADY_REGISTERED');
    await auth.register({ ...bob, inviteCode: 'once-only' });
  });

  test.each([{}, { assignedPlan: 'team' }])(
    'of parallel registrations with one code one succeeds (%o)',
    async (plan) => {
      const barrier = new Barrier('Register');
      const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
      await service.clients(wire).admin.createInviteCode({ code: 'only-one', ...plan }, asService);
      barrier.expect(crowd);
      const { answers, errors } = await together((i) =>
        service.clients(wire, i).auth.register({ ...ada, email: `ada${i}@example.org`, inviteCode: 'only-one' }),
      );
      expect(answers).toHaveLength(1);
      expect(errors.map(reasonOf)).toEqual(Array(crowd - 1).fill('INVITE_CODE_USED'));
      for (const table of ['users', 'accounts', 'subscriptions', 'memberships'])
        expect(await service.database.query(`select from ${table}`), table).toHaveLength(1);
    },
  );

  test('of parallel registrations with one invitation one succeeds', async () => {
    const barrier = new Barrier('Register');
    const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
    const { accountInviteCode } = await inviteInto(service, ada.email);
    barrier.expect(crowd);
    const { answers, errors } = await together((i) =>
      service.clients(wire, i).auth.register({ ...ada, accountInviteCode }),
    );
    expect(answers).toHaveLength(1);
    expect(errors.map(reasonOf)).toEqual(Array(crowd - 1).fill('ACCOUNT_INVITE_CODE_USED'));
    expect(await service.database.query('select from memberships')).toHaveLength(2);
  });
});

test('a display code that is taken is replaced by another, without a trace of the first one', async () => {
  const service = await start();
  const { account } = await service.welcome();
  const orm = await openOrm(service.database.url);
  onTestFinished(() => orm.close(true));
  const codes = [account.displayCode, account.displayCode, 'ZZZZZZZ9'];
  const rules = { requireInviteCode: false, trialPlan: 'pro', trialDays: 14 };
  const joining = new Joining(rules, () => codes.shift()!);
  const projectId = '00000000-0000-7000-8000-000000000001';
  const user = User.register({ ...bob, projectId, passwordHash: null }, service.now());
  await transact(orm, async (em) => {
    await em.persist(user).flush();
    await joining.open(em, user, service.now());
  });
  const rows = await service.database.query('select display_code, owner_id from accounts order by id');
  expect(rows).toEqual([
    { display_code: account.displayCode, owner_id: account.ownerId },
    { display_code: 'ZZZZZZZ9', owner_id: user.id },
  ]);
  expect(codes).toEqual([]);
});

test('a registration draws another display code while the one drawn is taken, and creates nothing with that one', async () => {
  const service = await start({ env: { AUTO_CONFIRM_EMAIL: 'on' } });
  const { account } = await service.welcome();
  // The first two codes that the service draws become one that is taken.
  await service.database.query(`
    create sequence drawn;
    create function draw_taken() returns trigger language plpgsql as $$ begin
      if nextval('drawn') <= 2 then new.display_code := '${account.displayCode}'; end if;
      return new;
    end $$;
    create trigger draw_taken before insert on accounts for each row execute function draw_taken()`);
  const response = await service.clients('grpc').auth.register(bob);
  expect(response.account!.account!.displayCode).not.toBe(account.displayCode);
  for (const table of ['accounts', 'memberships', 'subscriptions', 'users', 'sessions'])
    expect(await service.database.query(`select from ${table}`), table).toHaveLength(2);
  const events = `select from audit_events where action = 'auth.register' and user_id = $1`;
  expect(await service.database.query(events, [response.user!.id])).toHaveLength(1);
  expect((await service.signIn(bob)).user.id).toBe(response.user!.id);
});

test('with TRIAL_DAYS=0 a new account has no trial', async () => {
  const service = await start({ env: { TRIAL_DAYS: '0', TRIAL_PLAN: 'basic' } });
  const { account } = await service.welcome();
  expect(account.subscription).toMatchObject({ plan: 'basic', status: SubscriptionStatus.CANCELED });
});

test('an invite code that exists is refused, and so is a trial without a plan', async () => {
  const service = await start();
  for (const wire of wires) {
    const { admin } = service.clients(wire);
    const { inviteCode } = await admin.createInviteCode({}, asService);
    expect(inviteCode!.code).toMatch(/^[0-9A-F]{5}(-[0-9A-F]{5}){3}$/);
    const again = () => admin.createInviteCode({ code: inviteCode!.code.toLowerCase() }, asService);
    expect((await refusalWithoutTrace(service.database, again)).reason).toBe('INVITE_CODE_EXISTS');
    const { fields } = await refusalOf(admin.createInviteCode({ trialDurationDays: 7 }, asService));
    expect(fields).toEqual(['trial_duration_days']);
  }
});
