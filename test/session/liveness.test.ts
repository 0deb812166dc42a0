// @serializable
import { describe, expect, test } from 'vitest';
import { CurrentSession } from '../../gen/gatehouse/v1/auth_pb.ts';
import { SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { ada, asService } from '../support/people.ts';
import { crowd, Gate, Pause, together } from '../support/race.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { type Clients, start, type TestService, wires } from '../support/start.ts';

type Person = Awaited<ReturnType<TestService['signIn']>>;
type Write = (clients: Clients, me: Person, other: Person) => Promise<unknown>;

/** Calls of a user that write in a transaction. */
const writes: Readonly<Record<string, Write>> = {
  ChangePassword: ({ auth }, { as }) => {
    const currentSession = CurrentSession.KEEP;
    return auth.changePassword(
      { currentPassword: ada.password, newPassword: 'another long password', currentSession },
      as,
    );
  },
  UpdateMe: ({ auth }, { as }) => auth.updateMe({ name: 'Mallory' }, as),
  DeleteMe: ({ auth }, { as }) => auth.deleteMe({}, as),
  RevokeSession: ({ sessions }, { as }, { session }) => sessions.revokeSession({ sessionId: session.id }, as),
  SignOut: ({ sessions }, { as }) => sessions.signOut({ scope: SignOutScope.GLOBAL }, as),
  UpdateAccount: ({ accounts }, { as, account }) =>
    accounts.updateAccount({ accountId: account.id, name: 'Taken' }, as),
  CreateAccountInvite: ({ accounts }, { as, account }) =>
    accounts.createAccountInvite({ accountId: account.id, email: 'mallory@example.org', role: 3 }, as),
};

type End = (service: TestService, me: Person) => Promise<unknown>;

const everybody = { whose: { case: 'everybody', value: true } } as const;

/** The session itself replaces its secret: it goes on, and older access tokens are superseded. */
const renewal: End = async (service, { as }) => {
  const change = { currentPassword: ada.password, newPassword: 'another long password' };
  await service.clients('json', 1).auth.changePassword({ ...change, currentSession: CurrentSession.ROTATE }, as);
  // The notice leaves by itself.
  const waiting = `select id from mail_outbox where state = 'queued'`;
  await expect.poll(async () => (await service.database.query(waiting)).length, { timeout: 5000 }).toBe(0);
};

const endings: Readonly<Record<string, End>> = {
  BanUser: (service, { user }) => service.clients('json').admin.banUser({ userId: user.id }, asService),
  RevokeUserSessions: (service, { user }) =>
    service.clients('json', 1).admin.revokeUserSessions({ whose: { case: 'userId', value: user.id } }, asService),
  RevokeEverybody: (service) => service.clients('json', 1).admin.revokeUserSessions(everybody, asService),
  Renewal: renewal,
};

/** The methods of endings with another name, and what the calls of a renewed session are refused with. */
const methodOf = (end: string) => ({ RevokeEverybody: 'RevokeUserSessions', Renewal: 'ChangePassword' })[end] ?? end;
const reasonAfter = (end: string) => (end === 'Renewal' ? 'TOKEN_SUPERSEDED' : 'SESSION_REVOKED');

/** Ada, signed in twice. */
async function twice(service: TestService) {
  const me = await service.welcome({ ...ada, emailVerified: true });
  return { me, other: await service.signIn() };
}

const usage = { USAGE: 'on' };

const cases = Object.keys(writes)
  .flatMap((write) => Object.keys(endings).map((end) => [write, end] as const))
  .filter(([write, end]) => write !== methodOf(end));

describe.each(wires)('over %s', (wire) => {
  test.each(cases)('no %s of an ended session writes anything after %s has answered', async (write, end) => {
    const gate = new Gate(write);
    const service = await start({ replicas: 2, inner: [gate.interceptor()] });
    const { me, other } = await twice(service);
    const calls = together((i) => writes[write]!(service.clients(wire, i), me, other));
    await gate.reached;
    await endings[end]!(service, me);
    const before = await service.database.checksums();
    gate.open();
    const { answers, errors } = await calls;
    expect(answers).toEqual([]);
    expect(errors.map(reasonOf)).toEqual(Array(crowd).fill(reasonAfter(end)));
    expect(await service.database.checksums()).toEqual(before);
  });
});

/** Calls that write in a single statement, which they reach by themselves. */
const singles: Readonly<Record<string, Write>> = {
  ConsumeUsage: ({ accounts }, { as }) => accounts.consumeUsage({ amount: 1 }, as),
  GetReferral: ({ accounts }, { as }) => accounts.getReferral({}, as),
  SwitchAccount: ({ accounts }, { as, account }) => accounts.switchAccount({ accountId: account.id }, as),
};

const singleCases = Object.keys(singles).flatMap((write) => Object.keys(endings).map((end) => [write, end] as const));

test.each(singleCases)('no %s of an ended session writes anything after %s has answered', async (write, end) => {
  const gate = new Gate(write);
  const service = await start({ replicas: 2, env: usage, inner: [gate.interceptor('method')] });
  const { me, other } = await twice(service);
  const calls = together((i) => singles[write]!(service.clients(wires[i % 2]!, i), me, other));
  await gate.reached;
  await endings[end]!(service, me);
  const before = await service.database.checksums();
  gate.open();
  const { answers, errors } = await calls;
  expect(answers).toEqual([]);
  expect(errors.map(reasonOf)).toEqual(Array(crowd).fill(reasonAfter(end)));
  expect(await service.database.checksums()).toEqual(before);
});

// ConsumeUsage is too hot for the lock that everybody shares with RevokeEverybody.
const waiting = singleCases.filter(([write, end]) => write !== 'ConsumeUsage' || end !== 'RevokeEverybody');

test.each(waiting)('%s waits for a %s that is under way, and is refused', async (write, end) => {
  const pause = new Pause(methodOf(end), 'commit');
  const service = await start({ replicas: 2, env: usage, inner: [pause.interceptor()] });
  const { me, other } = await twice(service);
  await singles[write]!(service.clients('grpc'), me, other);
  // GetReferral writes once.
  await service.database.query('delete from referral_codes');
  const written = pause.next();
  const ending = endings[end]!(service, me);
  await written;
  const refusals = Promise.all(wires.map((wire, i) => refusalOf(singles[write]!(service.clients(wire, i), me, other))));
  await service.database.blocked(2);
  pause.resume();
  await ending;
  const before = await service.database.checksums();
  expect((await refusals).map(({ reason }) => reason)).toEqual([reasonAfter(end), reasonAfter(end)]);
  expect(await service.database.checksums()).toEqual(before);
});

const leave: End = (service, { tokens }) =>
  service.clients('json').sessions.signOut({ refreshToken: tokens.refreshToken });

test.each(cases)('%s under way is finished before %s answers', async (write, end) => {
  const pause = new Pause(write, 'commit');
  const service = await start({ replicas: 2, inner: [pause.interceptor()] });
  const { me, other } = await twice(service);
  const written = pause.next();
  const writing = writes[write]!(service.clients('grpc'), me, other);
  await written;
  const ending = endings[end]!(service, me).then(
    () => 'OK',
    (error) => reasonOf(error),
  );
  await service.database.blocked(1);
  pause.resume();
  await writing;
  expect(['OK', 'USER_NOT_FOUND', 'SESSION_REVOKED', 'CURRENT_PASSWORD_INCORRECT']).toContain(await ending);
});

test.each([
  ['all sessions of the user are revoked', endings.RevokeUserSessions!],
  ['all sessions of the project are revoked', endings.RevokeEverybody!],
  ['it is revoked alone', leave],
  ['its secret is replaced', renewal],
])('ListSessions of a session reads caller and list at one moment, also when %s meanwhile', async (_, end) => {
  const gate = new Gate('ListSessions', 1);
  const service = await start({ replicas: 2, inner: [gate.interceptor('method')] });
  const { me, other } = await twice(service);
  const listing = service.clients('grpc').sessions.listSessions({}, me.as);
  await gate.reached;
  await end(service, me);
  gate.open();
  const { sessions } = await listing;
  expect(sessions.map(({ id, current }) => [id, current])).toEqual([
    [other.session.id, false],
    [me.session.id, true],
  ]);
});

test('a password that the session itself has changed meanwhile is not called wrong', async () => {
  const gate = new Gate('ChangePassword', 2);
  const service = await start({ replicas: 2, inner: [gate.interceptor('method')] });
  const { me } = await twice(service);
  const { auth } = service.clients('grpc');
  const change = { currentPassword: ada.password, newPassword: 'another long password' };
  const changes = Promise.allSettled([auth.changePassword(change, me.as), auth.changePassword(change, me.as)]);
  await gate.reached;
  gate.open();
  const refused = (await changes).flatMap((each) => (each.status === 'rejected' ? [reasonOf(each.reason)] : []));
  expect(refused).toEqual(['TOKEN_SUPERSEDED']);
});

test('a password that was changed meanwhile by another session is not called wrong', async () => {
  const gate = new Gate('ChangePassword', 1);
  const service = await start({ replicas: 2, inner: [gate.interceptor('method')] });
  const { me } = await twice(service);
  const change = { currentPassword: ada.password, newPassword: 'another long password' };
  const refusal = refusalOf(service.clients('grpc').auth.changePassword(change, me.as));
  await gate.reached;
  await service.database.query(`update users set password_hash = 'changed'`);
  await service.database.query(`update sessions set revoked_at = now(), revoke_reason = 'password_changed'`);
  gate.open();
  expect((await refusal).reason).toBe('SESSION_REVOKED');
});

test.each(cases)('%s waits for a %s that is under way, and is refused', async (write, end) => {
  const pause = new Pause(methodOf(end), 'commit');
  const service = await start({ replicas: 2, inner: [pause.interceptor()] });
  const { me, other } = await twice(service);
  const written = pause.next();
  const ending = endings[end]!(service, me);
  await written;
  const refusals = Promise.all(wires.map((wire, i) => refusalOf(writes[write]!(service.clients(wire, i), me, other))));
  await service.database.blocked(2);
  pause.resume();
  await ending;
  const before = await service.database.checksums();
  expect((await refusals).map(({ reason }) => reason)).toEqual([reasonAfter(end), reasonAfter(end)]);
  expect(await service.database.checksums()).toEqual(before);
});

test('a session that expires before the transaction begins is SESSION_EXPIRED', async () => {
  const gate = new Gate('UpdateMe', 1);
  const service = await start({ inner: [gate.interceptor()] });
  const { me, other } = await twice(service);
  const refusal = refusalOf(writes.UpdateMe!(service.clients('grpc'), me, other));
  await gate.reached;
  service.pass(3600 * 24 * 365);
  gate.open();
  expect((await refusal).reason).toBe('SESSION_EXPIRED');
});

test('an operator who loses the role meanwhile changes nothing more', async () => {
  const gate = new Gate('CreateInviteCode');
  const service = await start({ replicas: 2, inner: [gate.interceptor()] });
  const { as, user } = await service.operator();
  const calls = together((i) => service.clients('grpc', i).admin.createInviteCode({ code: `CODE-${i}-CODE` }, as));
  await gate.reached;
  await service.clients('json').admin.updateUser({ userId: user.id, role: 1 }, asService);
  gate.open();
  const { answers, errors } = await calls;
  expect(answers).toEqual([]);
  expect(new Set(errors.map(reasonOf))).toEqual(new Set(['CALLER_NOT_ALLOWED']));
});

describe('a refresh that read the clock and then waited', () => {
  const { Renewal: _, ...revocations } = endings;
  const everyEnding: Readonly<Record<string, End>> = {
    ...revocations,
    'BanUser and UnbanUser': async (service, me) => {
      await endings.BanUser!(service, me);
      await service.clients('json').admin.unbanUser({ userId: me.user.id }, asService);
    },
    'SignOut of the others': async (service) => {
      const { as } = await service.signIn();
      await service.clients('grpc', 1).sessions.signOut({ scope: SignOutScope.OTHERS }, as);
    },
    ChangePassword: async (service) => {
      const { as } = await service.signIn();
      const change = { currentPassword: ada.password, newPassword: 'another long password' };
      await service.clients('grpc', 1).auth.changePassword(change, as);
    },
    RevokeSession: async (service, { session }) => {
      const { as } = await service.signIn();
      const call = service.clients('grpc', 1).sessions.revokeSession({ sessionId: session.id }, as);
      expect((await refusalOf(call)).reason).toBe('SESSION_NOT_FOUND');
    },
  };

  test.each(Object.keys(everyEnding))('does not keep a session alive that %s found expired', async (end) => {
    const service = await start({ replicas: 2 });
    const me = await service.welcome();
    const release = await service.database.hold('select 1 from sessions where id = $1 for no key update', [
      me.session.id,
    ]);
    const refreshing = service.clients('grpc').sessions.refresh({ refreshToken: me.tokens.refreshToken });
    const settled = refreshing.then(
      ({ tokens }) => tokens!,
      () => me.tokens,
    );
    await service.database.blocked(1);
    service.pass(3600 * 24 * 365);
    const ending = everyEnding[end]!(service, me);
    // The ending waits for the same lock, or has skipped the session.
    await Promise.race([ending, service.database.blocked(2)]);
    await release();
    await ending;
    const { refreshToken, accessToken } = await settled;
    service.pass(-3600 * 24 * 365);
    for (const [i, wire] of wires.entries()) {
      const { sessions } = service.clients(wire, i);
      expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
      expect((await sessions.introspect({ token: accessToken }, asService)).active).toBe(false);
    }
  });
});
