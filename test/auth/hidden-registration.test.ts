// @serializable
import { describe, expect, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { mailsTo, tokenFor } from '../support/inbox.ts';
import { ofCalls } from '../support/methods.ts';
import { ada, asService, bob } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

const env = { HIDE_REGISTRATION: 'on' };
const verified = { ...ada, emailVerified: true };
const nothing = { $typeName: 'gatehouse.v1.RegisterResponse' };
const subjects = { verify: 'Verify your e-mail address', known: 'You already have an account' };

describe.each(wires)('over %s', (wire) => {
  test('the response is empty for a free and for a taken address; only the mail differs', async () => {
    const service = await start({ env });
    const { auth } = service.clients(wire);
    const { user } = await service.welcome(verified);
    service.pass(3600);
    const before = await service.database.query('select * from users where id = $1', [user.id]);
    const responses = [
      await auth.register({ ...ada, password: 'an attacker knows this', name: 'Eve' }),
      await auth.register(bob),
    ];
    expect(responses[0]).toEqual(responses[1]);
    expect(responses[0]).toEqual(nothing);
    expect(await service.database.query('select * from users where id = $1', [user.id])).toEqual(before);
    expect((await mailsTo(service, ada.email)).map(({ subject }) => subject)).toEqual([subjects.known]);
    expect((await mailsTo(service, bob.email)).map(({ subject }) => subject)).toEqual([subjects.verify]);
    await auth.signIn(ada);
    await auth.verifyEmail({ token: await tokenFor(service, bob.email) });
    await auth.signIn(bob);
    const causes = await service.database.query(
      `select result, cause from audit_events where action = 'auth.register' order by id`,
    );
    expect(causes).toEqual([
      { result: 'FAILURE', cause: 'email_taken' },
      { result: 'SUCCESS', cause: null },
    ]);
  });

  test('a sign-in right after the registration does not reveal whether the address was free', async () => {
    const service = await start({ env });
    const { auth } = service.clients(wire);
    await service.welcome(verified);
    const password = 'an attacker knows this one';
    const seen = [];
    for (const email of [ada.email, bob.email]) {
      await auth.register({ email, password });
      seen.push(await refusalOf(auth.signIn({ email, password })));
    }
    expect(seen[0]).toEqual(seen[1]);
    expect(seen[0]!.reason).toBe('INVALID_CREDENTIALS');
  });

  test('an invite code is used up for a free and for a taken address', async () => {
    const service = await start({ env });
    const { auth, admin } = service.clients(wire);
    await service.welcome(verified);
    const seen = [];
    for (const email of [ada.email, bob.email]) {
      const { inviteCode: made } = await admin.createInviteCode({}, asService);
      const inviteCode = made!.code;
      await auth.register({ ...bob, email, inviteCode });
      seen.push(await refusalOf(auth.register({ ...ada, inviteCode })));
    }
    expect(seen[0]).toEqual(seen[1]);
    expect(seen[0]!.reason).toBe('INVITE_CODE_USED');
  });

  test('an account invite does not reveal to the inviter whether the address was registered', async () => {
    const service = await start({ env });
    const { auth, accounts } = service.clients(wire);
    const { as, account } = await service.welcome(verified);
    await service.clients('json').admin.createUser({ email: 'eve@example.org', emailVerified: true }, asService);
    const codes = [];
    for (const email of ['eve@example.org', bob.email]) {
      await accounts.createAccountInvite({ accountId: account.id, email, role: AccountRole.MEMBER }, as);
      const accountInviteCode = await tokenFor(service, email);
      codes.push(accountInviteCode);
      await auth.register({ ...bob, email, accountInviteCode });
    }
    expect((await accounts.listMembers({ accountId: account.id }, as)).members).toHaveLength(1);
    expect((await accounts.listAccountInvites({ accountId: account.id }, as)).invites).toHaveLength(2);
    const nonsense = { accountInviteCode: 'x'.repeat(20) };
    expect((await refusalOf(auth.register({ ...ada, ...nonsense }))).reason).toBe('INVALID_ACCOUNT_INVITE_CODE');
    await auth.verifyEmail({ token: await tokenFor(service, bob.email) });
    const joined = await service.signIn(bob);
    await accounts.acceptAccountInvite({ accountInviteCode: codes[1]! }, joined.as);
    expect((await accounts.listMembers({ accountId: account.id }, as)).members).toHaveLength(2);
  });

  test('an older link to change the address does not reveal whether a newer address is taken', async () => {
    const service = await start({ env });
    const { auth, admin } = service.clients(wire);
    await admin.createUser({ ...bob, emailVerified: true }, asService);
    const seen = [];
    for (const [n, probe] of [bob.email, 'free@example.org'].entries()) {
      const person = { ...ada, email: `ada${n}@example.org`, emailVerified: true };
      const { as } = await service.welcome(person);
      const move = (email: string) => auth.updateMe({ email, currentPassword: ada.password }, as);
      const own = `own${n}@example.org`;
      await move(own);
      const token = await tokenFor(service, own);
      await move(probe);
      await move(own);
      seen.push(await refusalOf(auth.confirmEmailChange({ token })));
    }
    expect(seen[0]).toEqual(seen[1]);
    expect(seen[0]!.reason).toBe('VERIFICATION_TOKEN_USED_OR_EXPIRED');
  });

  test('the owner gets at most one notice a minute, and none for a second click', async () => {
    const service = await start({ env });
    const { auth } = service.clients(wire);
    for (let n = 0; n < 3; n++) await auth.register(ada);
    expect((await mailsTo(service, ada.email)).map(({ subject }) => subject)).toEqual([subjects.verify]);
    service.pass(3600);
    for (let n = 0; n < 3; n++) await auth.register(ada);
    expect((await mailsTo(service, ada.email)).map(({ subject }) => subject)).toEqual([
      subjects.verify,
      subjects.known,
    ]);
  });

  test('a weak password is refused for a free and for a taken address alike', async () => {
    const service = await start({ env });
    const { auth } = service.clients(wire);
    await service.welcome(verified);
    const weak = (email: string) => refusalOf(auth.register({ email, password: 'password1' }));
    expect(await weak(ada.email)).toEqual(await weak(bob.email));
  });

  test('a guest who registers stays a guest, for a free and for a taken address', async () => {
    const service = await start({ env });
    const { auth } = service.clients(wire);
    await service.welcome(verified);
    for (const person of [ada, bob]) {
      const guest = await service.guest();
      expect(await auth.register(person, guest.as)).toEqual(nothing);
      expect((await auth.getMe({}, guest.as)).user).toMatchObject({ isAnonymous: true, email: '' });
    }
  });

  test('a change to an address that is taken stays pending, and the response is the same', async () => {
    const service = await start({ env });
    const { auth, admin } = service.clients(wire);
    const { as } = await service.welcome(verified);
    await admin.createUser({ ...bob, emailVerified: true }, asService);
    const currentPassword = ada.password;
    const taken = await auth.updateMe({ email: bob.email, currentPassword }, as);
    expect(taken.user).toMatchObject({ email: ada.email, pendingEmail: bob.email });
    expect(await mailsTo(service, bob.email)).toEqual([]);
    const free = await auth.updateMe({ email: 'free@example.org', currentPassword }, as);
    expect(free.user).toMatchObject({ email: ada.email, pendingEmail: 'free@example.org' });
    expect(await mailsTo(service, 'free@example.org')).toHaveLength(1);
  });
});

test('of twenty registrations of one address one creates a user, all responses are the same, and one mail is sent', async () => {
  const barrier = new Barrier('Register');
  const service = await start({ env, replicas: 2, inner: [barrier.interceptor()] });
  barrier.expect(crowd);
  const spelling = (n: number) => (n % 2 ? ada.email : ada.email.toUpperCase());
  const { answers, errors } = await together((n) =>
    service.clients('grpc', n).auth.register({ ...ada, email: spelling(n) }),
  );
  expect(errors).toEqual([]);
  for (const answer of answers) expect(answer).toEqual(answers[0]);
  const users = await service.database.query<{ email: string }>('select email from users');
  expect(users).toHaveLength(1);
  expect(await mailsTo(service, users[0]!.email)).toHaveLength(1);
});

// With serializable transactions one of the calls may be repeated, which costs further statements.
test.skipIf(process.env.ISOLATION)('a free and a taken address cost the same number of statements', async () => {
  const proxy = await startProxy();
  const service = await start({ env, databaseUrl: proxy.url });
  const { auth } = service.clients('grpc');
  await service.welcome(verified);
  service.pass(3600);
  const countDuring = async (call: () => Promise<unknown>) => {
    const before = proxy.statements.length;
    await call();
    return ofCalls(proxy.statements.slice(before)).length;
  };
  expect(await countDuring(() => auth.register(ada))).toBe(await countDuring(() => auth.register(bob)));
});
