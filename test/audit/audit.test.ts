// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { ada, asService, bob, serviceKey } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

interface Row {
  readonly action: string;
  readonly result: string;
  readonly cause: string | null;
  readonly actor_kind: string;
  readonly actor_id: string | null;
  readonly user_id: string | null;
  readonly session_id: string | null;
  readonly address: string;
  readonly user_agent: string;
  readonly request_id: string;
  readonly at: Date;
}

async function eventsOf({ database }: TestService): Promise<Row[]> {
  return database.query<Row>('select * from audit_events order by id');
}

/** The rows that `act` adds. */
async function eventsFrom(service: TestService, act: () => Promise<unknown>): Promise<Row[]> {
  const before = await eventsOf(service);
  await act();
  return (await eventsOf(service)).slice(before.length);
}

const failed = { result: 'FAILURE', actor_kind: 'anyone', actor_id: null };
const done = { result: 'SUCCESS', cause: null };
const byUser = (id: string) => ({ ...done, actor_kind: 'user', actor_id: id, user_id: id });
const byService = { ...done, actor_kind: 'service', actor_id: 'backend', session_id: null };

describe.each(wires)('over %s', (wire) => {
  test('each event has one row with the actor, the user concerned, the address, the time and the call', async () => {
    const service = await start({ env: { TRUSTED_PROXY_HOPS: '1' } });
    const { auth } = service.clients(wire);
    service.pass(-86_400);
    const headers = { 'x-forwarded-for': '203.0.113.7', 'x-request-id': 'request-of-ada' };
    const { user } = await auth.register(ada, { headers });
    const rows = await eventsOf(service);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      ...byUser(user!.id),
      action: 'auth.register',
      session_id: null,
      address: '203.0.113.7',
      request_id: 'request-of-ada',
      project_id: '00000000-0000-7000-8000-000000000001',
    });
    expect(rows[0]!.user_agent).not.toBe('');
    expect(Math.abs(rows[0]!.at.getTime() - service.now().getTime())).toBeLessThan(10_000);
  });

  test('sign-ins and failed sign-ins are recorded, with the true cause that the response does not reveal', async () => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const { user } = await admin.createUser(ada, asService);
    const { user: other } = await admin.createUser({ email: bob.email }, asService);
    let signedIn: Awaited<ReturnType<typeof auth.signIn>> | undefined;
    const signIn = async () => {
      signedIn = await auth.signIn(ada);
    };
    const refused = (email: string, password: string) => async () =>
      void (await refusalOf(auth.signIn({ email, password })));
    const action = 'auth.login_failed';
    expect(await eventsFrom(service, signIn)).toMatchObject([
      { ...byUser(user!.id), action: 'auth.login', session_id: signedIn!.session!.id },
    ]);
    expect(await eventsFrom(service, refused('nobody@example.org', ada.password))).toMatchObject([
      { ...failed, action, cause: 'unknown_email', user_id: null },
    ]);
    expect(await eventsFrom(service, refused(ada.email, 'a wrong password'))).toMatchObject([
      { ...failed, action, cause: 'wrong_password', user_id: user!.id, session_id: null },
    ]);
    expect(await eventsFrom(service, refused(bob.email, bob.password))).toMatchObject([
      { ...failed, action, cause: 'no_password', user_id: other!.id },
    ]);
    await admin.banUser({ userId: user!.id }, asService);
    expect(await eventsFrom(service, refused(ada.email, ada.password))).toMatchObject([
      { ...failed, action, cause: 'banned', user_id: user!.id },
    ]);
  });

  test('signing out and revoking are recorded with the session that was revoked', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { user, session, as } = await service.welcome();
    const other = await service.signIn();
    const third = await service.signIn();
    const { refreshToken } = other.tokens;
    expect(await eventsFrom(service, () => sessions.signOut({ refreshToken }))).toMatchObject([
      { ...byUser(user.id), action: 'auth.logout', session_id: other.session.id },
    ]);
    const sessionId = third.session.id;
    expect(await eventsFrom(service, () => sessions.revokeSession({ sessionId }, as))).toMatchObject([
      { ...byUser(user.id), action: 'session.revoke', session_id: sessionId },
    ]);
    const scope = SignOutScope.GLOBAL;
    expect(await eventsFrom(service, () => sessions.signOut({ scope }, as))).toMatchObject([
      { ...byUser(user.id), action: 'auth.logout', session_id: session.id },
    ]);
  });

  test('reuse of an old refresh token is recorded although the call fails; successful refreshes are not recorded', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { user, session, tokens } = await service.welcome();
    const refresh = () => sessions.refresh({ refreshToken: tokens.refreshToken });
    expect(await eventsFrom(service, refresh)).toEqual([]);
    expect(await eventsFrom(service, refresh)).toEqual([]);
    service.pass(11);
    expect(await eventsFrom(service, () => refusalOf(refresh()))).toMatchObject([
      { ...failed, action: 'auth.refresh_reuse', user_id: user.id, session_id: session.id },
    ]);
    expect(await eventsFrom(service, () => refusalOf(refresh())), 'it happened once').toEqual([]);
  });

  test('an action of a service on a user is recorded under the name of its key', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    let userId = '';
    const create = async () => {
      userId = (await admin.createUser(ada, asService)).user!.id;
    };
    expect(await eventsFrom(service, create)).toMatchObject([{ ...byService, action: 'user.create', user_id: userId }]);
    for (const [method, action] of [
      ['banUser', 'user.ban'],
      ['unbanUser', 'user.unban'],
      ['deleteUser', 'user.delete'],
    ] as const)
      expect(await eventsFrom(service, () => admin[method]({ userId }, asService))).toMatchObject([
        { ...byService, action, user_id: userId },
      ]);
    expect(JSON.stringify(await eventsOf(service))).not.toContain(serviceKey);
  });

  test('the sign-up of a guest and their registration are recorded', async () => {
    const service = await start();
    const { auth } = service.clients(wire);
    const guest = await service.guest();
    expect(await eventsFrom(service, () => auth.register(ada, guest.as))).toMatchObject([
      { ...done, action: 'auth.register', actor_kind: 'user', actor_id: guest.user.id, user_id: guest.user.id },
    ]);
    const [first] = await eventsOf(service);
    expect(first).toMatchObject({
      ...byUser(guest.user.id),
      action: 'auth.sign_up_anonymous',
      session_id: guest.session.id,
    });
  });

  test('reads and invalid requests are not recorded', async () => {
    const service = await start();
    const { auth, sessions, admin } = service.clients(wire);
    const { user, session, tokens, as } = await service.welcome();
    const read = async () => {
      await auth.getMe({}, as);
      await sessions.listSessions({}, as);
      await sessions.getSession({ sessionId: session.id }, as);
      await sessions.introspect({ token: tokens.accessToken }, asService);
      await admin.getUser({ userId: user.id }, asService);
      await refusalOf(auth.register(ada));
      await refusalOf(auth.register({ ...bob, password: 'short' }));
      await refusalOf(sessions.revokeSession({ sessionId: session.id }, as));
      await refusalOf(sessions.refresh({ refreshToken: 'garbage' }));
      await refusalOf(auth.getMe({}));
    };
    expect(await eventsFrom(service, read)).toEqual([]);
  });

  test('an action that cannot be recorded is rolled back', async () => {
    const service = await start({ env: { DATABASE_STATEMENT_TIMEOUT: '1s' } });
    const { auth, sessions } = service.clients(wire);
    const { as } = await service.welcome();
    const release = await service.database.hold('lock table audit_events in exclusive mode');
    const refusals = await Promise.all([refusalOf(auth.signIn(ada)), refusalOf(sessions.signOut({}, as))]);
    expect(refusals.map((each) => each.code)).toEqual([Code.Unavailable, Code.Unavailable]);
    await release();
    expect((await sessions.listSessions({}, as)).sessions).toHaveLength(1);
  });
});

test('the trail is neither changed nor deleted nor truncated, not even by the owner of the table', async () => {
  const service = await start();
  await service.welcome();
  const before = await eventsOf(service);
  for (const sql of [
    `update audit_events set cause = 'nothing'`,
    'delete from audit_events',
    'delete from audit_events where id = (select id from audit_events limit 1)',
    'truncate audit_events',
    'truncate audit_events cascade',
    `insert into audit_events select * from audit_events on conflict (project_id, at, id) do update set cause = 'nothing'`,
  ])
    await expect(service.database.query(sql), sql).rejects.toMatchObject({ code: '42501' });
  expect(await eventsOf(service)).toEqual(before);
  // It reaches all that refers to a project, and the trail does not.
  await service.database.query('truncate projects cascade');
  expect(await eventsOf(service)).toEqual(before);
});

test('no row holds a secret, and passwords are stored only as argon2id hashes', async () => {
  const service = await start();
  const { auth, sessions } = service.clients('json');
  const { tokens } = await service.welcome();
  const { tokens: refreshed } = await sessions.refresh({ refreshToken: tokens.refreshToken });
  await refusalOf(auth.signIn({ ...ada, password: 'a password that is wrong' }));
  await refusalOf(auth.register({ email: 'a password that is wrong@', password: 'a password that is wrong' }));
  const dump = await service.database.dump();
  const secrets = [ada.password, 'a password that is wrong', serviceKey];
  for (const { accessToken, refreshToken } of [tokens, refreshed!])
    secrets.push(accessToken, accessToken.split('.')[2]!, refreshToken, refreshToken.slice(4));
  for (const secret of secrets) {
    const bytes = Buffer.from(secret);
    for (const spelling of [secret, ...(['hex', 'base64', 'base64url'] as const).map((each) => bytes.toString(each))])
      expect(dump).not.toContain(spelling);
  }
  const [user] = await service.database.query('select password_hash from users');
  expect(user!.password_hash).toMatch(/^\$argon2id\$v=19\$m=64,t=1,p=1\$/);
});
