// @serializable
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { SignOutScope, type Tokens } from '../../gen/gatehouse/v1/session_pb.ts';
import { ada, asService } from '../support/people.ts';
import { Barrier, crowd, Pause, together } from '../support/race.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';

const rounds = 10;
const endings = ['SESSION_REVOKED', 'REFRESH_TOKEN_ALREADY_USED'];

/** Fails when a replica accepts one of these tokens. */
async function expectDead(service: TestService, tokens: readonly Tokens[]): Promise<void> {
  for (const [i, { refreshToken, accessToken }] of tokens.entries()) {
    const { sessions } = service.clients('grpc', i);
    expect(endings).toContain((await refusalOf(sessions.refresh({ refreshToken }))).reason);
    expect((await sessions.introspect({ token: accessToken }, asService)).active).toBe(false);
  }
}

/** A service of two replicas with a barrier before the first write of a method. */
async function startWithBarrier(method: string, place?: 'method') {
  const barrier = new Barrier(method);
  const service = await start({ replicas: 2, inner: [barrier.interceptor(place)] });
  return { barrier, service };
}

describe.each(wires)('over %s', (wire) => {
  test('parallel refreshes with one token rotate it once, and all return the same successor', async () => {
    const { barrier, service } = await startWithBarrier('Refresh', 'method');
    const guest = await service.guest();
    let { refreshToken } = guest.tokens;
    for (let round = 1; round <= 3; round++) {
      barrier.expect(crowd);
      const { answers, errors } = await together((i) => service.clients(wire, i).sessions.refresh({ refreshToken }));
      expect(errors).toEqual([]);
      const successors = new Set(answers.map((each) => each.tokens!.refreshToken));
      expect(successors.size).toBe(1);
      expect(successors).not.toContain(refreshToken);
      [refreshToken] = successors as unknown as [string];
      expect(await service.database.query('select generation from sessions')).toEqual([{ generation: round }]);
    }
  });

  test('of parallel registrations of one address, however it is spelled, one creates a user', async () => {
    const { barrier, service } = await startWithBarrier('Register');
    const spellings = ['ada@example.org', 'ADA@example.org', 'Ada@EXAMPLE.ORG', 'aDa@example.Org'];
    barrier.expect(crowd);
    const { answers, errors } = await together((i) =>
      service.clients(wire, i).auth.register({ ...ada, email: spellings[i % spellings.length]! }),
    );
    expect(answers).toHaveLength(1);
    expect(errors.map(reasonOf)).toEqual(Array(crowd - 1).fill('EMAIL_ALREADY_REGISTERED'));
    expect(await service.database.query('select from users')).toHaveLength(1);
    expect(await service.database.query('select from audit_events')).toHaveLength(1);
    expect(await service.database.query('select from mail_outbox')).toHaveLength(1);
  });

  test('a guest who registers many times at once becomes one registered user', async () => {
    const { barrier, service } = await startWithBarrier('Register');
    for (const email of [() => ada.email, (i: number) => `ada${i}@example.org`]) {
      const guest = await service.guest();
      barrier.expect(crowd);
      const { answers, errors } = await together((i) =>
        service.clients(wire, i).auth.register({ ...ada, email: email(i) }, guest.as),
      );
      expect(answers.map((each) => each.user!.id)).toEqual([guest.user.id]);
      for (const error of errors) expect(['TOKEN_SUPERSEDED', 'EMAIL_ALREADY_REGISTERED']).toContain(reasonOf(error));
      const renewed = { headers: { authorization: `Bearer ${answers[0]!.tokens!.accessToken}` } };
      const { user } = await service.clients(wire).auth.getMe({}, renewed);
      expect(user).toMatchObject({ id: guest.user.id, email: answers[0]!.user!.email, isAnonymous: false });
    }
    expect(await service.database.query('select from users')).toHaveLength(2);
  });
});

test('without a reuse interval one of parallel refreshes succeeds, and the session is revoked', async () => {
  const barrier = new Barrier('Refresh');
  const inner = [barrier.interceptor('method')];
  const service = await start({ replicas: 2, inner, env: { REFRESH_REUSE_INTERVAL: '0' } });
  const { tokens } = await service.guest();
  const { refreshToken } = tokens;
  barrier.expect(crowd);
  const { answers, errors } = await together((i) => service.clients('grpc', i).sessions.refresh({ refreshToken }));
  expect(answers).toHaveLength(1);
  expect(new Set(errors.map(reasonOf))).toEqual(new Set(['REFRESH_TOKEN_ALREADY_USED']));
  await expectDead(service, [tokens, answers[0]!.tokens!]);
  const events = await service.database.query(`select from audit_events where action = 'auth.refresh_reuse'`);
  expect(events, 'the session is revoked once').toHaveLength(1);
});

test('a token and its successor used at once never leave two live branches', async () => {
  const service = await start({ replicas: 2 });
  for (let round = 0; round < rounds; round++) {
    const { tokens, session } = await service.guest();
    const second = (await service.clients('json').sessions.refresh({ refreshToken: tokens.refreshToken })).tokens!;
    const { answers, errors } = await together((i) => {
      const { refreshToken } = i % 4 < 2 ? tokens : second;
      return service.clients('grpc', i).sessions.refresh({ refreshToken });
    }, 8);
    for (const error of errors) expect(endings).toContain(reasonOf(error));
    const [row] = await service.database.query('select generation, revoked_at from sessions where id = $1', [
      session.id,
    ]);
    expect(row!.generation).toBe(2);
    const heads = new Set(
      answers.map((each) => each.tokens!.refreshToken).filter((each) => each !== second.refreshToken),
    );
    expect(heads.size).toBeLessThanOrEqual(1);
    if (row!.revoked_at) await expectDead(service, [tokens, second, ...answers.map((each) => each.tokens!)]);
  }
});

test('refreshes parallel to a sign-out end in OK or UNAUTHENTICATED, and none succeeds after it', async () => {
  const service = await start({ replicas: 2 });
  for (let round = 0; round < rounds; round++) {
    const { tokens, as } = await service.guest();
    const wire = wires[round % 2]!;
    const { refreshToken } = tokens;
    const given: Tokens[] = [tokens];
    const signingOut = async () => {
      const how = round % 4 < 2 ? { refreshToken } : { scope: SignOutScope.LOCAL };
      await service.clients(wire, 1).sessions.signOut(how, as);
      await expectDead(service, [...given]);
    };
    const { errors } = await together(async (i) => {
      if (i === 3) return signingOut();
      const answer = await service.clients(wire, i).sessions.refresh({ refreshToken });
      given.push(answer.tokens!);
    }, 8);
    for (const error of errors) expect(error).toMatchObject({ code: Code.Unauthenticated });
    await expectDead(service, given);
  }
});

test.each(['deleteUser', 'banUser'] as const)(
  'after %s no session of the user is live, despite parallel sign-ins and refreshes',
  async (method) => {
    const service = await start({ replicas: 2 });
    for (let round = 0; round < rounds; round++) {
      const person = { ...ada, email: `ada${round}@example.org` };
      const { user, tokens } = await service.welcome(person);
      const given: Tokens[] = [tokens];
      const { errors } = await together(async (i) => {
        const { admin, auth, sessions } = service.clients(wires[round % 2]!, i);
        if (i === 4) return void (await admin[method]({ userId: user.id }, asService));
        const { refreshToken } = tokens;
        given.push(i % 2 ? (await auth.signIn(person)).tokens! : (await sessions.refresh({ refreshToken })).tokens!);
      }, 8);
      for (const error of errors)
        expect(['INVALID_CREDENTIALS', 'USER_BANNED', 'SESSION_REVOKED']).toContain(reasonOf(error));
      await expectDead(service, given);
    }
  },
);

describe.each(['deleteUser', 'banUser'] as const)('%s', (method) => {
  test('waits for a sign-in in progress, and revokes its session', async () => {
    const pause = new Pause('SignIn', 'commit');
    const service = await start({ inner: [pause.interceptor()] });
    const { auth, admin } = service.clients('grpc');
    const { user } = await service.welcome();
    const reached = pause.next();
    const signingIn = auth.signIn(ada);
    await reached;
    const ending = admin[method]({ userId: user.id }, asService);
    await service.database.blocked(1);
    pause.resume();
    await ending;
    await expectDead(service, [(await signingIn).tokens!]);
  });

  test('in progress makes a sign-in and a refresh wait, and then they are refused', async () => {
    const service = await start();
    const { auth, sessions, admin } = service.clients('grpc');
    const { user, tokens } = await service.welcome();
    const release = await service.database.hold('lock table audit_events in exclusive mode');
    const ending = admin[method]({ userId: user.id }, asService);
    await service.database.blocked(1);
    const calls = [auth.signIn(ada), sessions.refresh({ refreshToken: tokens.refreshToken })];
    const refusals = Promise.all(calls.map((each) => refusalOf(each)));
    await service.database.blocked(3);
    await release();
    await ending;
    const refusedSignIn = method === 'banUser' ? 'USER_BANNED' : 'INVALID_CREDENTIALS';
    expect((await refusals).map((each) => each.reason)).toEqual([refusedSignIn, 'SESSION_REVOKED']);
    expect(await service.database.query('select from sessions where revoked_at is null')).toEqual([]);
  });
});

const changedMeanwhile = { reason: 'INVALID_CREDENTIALS', cause: 'changed_meanwhile' };

test.each([
  [
    'was banned',
    `update users set banned_until = now() + interval '1 hour'`,
    { reason: 'USER_BANNED', cause: 'banned' },
  ],
  [
    'was deleted',
    `with gone as (delete from memberships), left_behind as (update accounts set owner_id = null)
     update users set deleted_at = now()`,
    changedMeanwhile,
  ],
  ['got another password', `update users set password_hash = password_hash || 'x'`, changedMeanwhile],
  ['lost the password', `update users set password_hash = null`, changedMeanwhile],
  [
    'got another password and was banned',
    `update users set password_hash = password_hash || 'x', banned_until = now() + interval '1 hour'`,
    changedMeanwhile,
  ],
])('a sign-in is refused when the user %s while the password was checked', async (_, sql, { reason, cause }) => {
  const pause = new Pause('SignIn');
  const service = await start({ inner: [pause.interceptor()] });
  const { auth, admin } = service.clients('grpc');
  await admin.createUser(ada, asService);
  const checked = pause.next();
  const refusal = refusalOf(auth.signIn(ada));
  await checked;
  await service.database.query(sql);
  pause.resume();
  expect((await refusal).reason).toBe(reason);
  expect(await service.database.query('select from sessions')).toEqual([]);
  const events = await service.database.query(`select cause from audit_events where action = 'auth.login_failed'`);
  expect(events).toEqual([{ cause }]);
});

test.each([
  ['banned', `update users set banned_until = now() + interval '1 hour'`],
  ['deleted', `update users set deleted_at = now()`],
])('a guest who was %s while registering stays a guest without a session', async (_, sql) => {
  const pause = new Pause('Register');
  const service = await start({
    inner: [pause.interceptor()],
    env: { AUTO_CONFIRM_EMAIL: 'on' },
    skipChecks: ['orphans'],
  });
  const guest = await service.guest();
  const checked = pause.next();
  const refusal = refusalOf(service.clients('grpc').auth.register(ada, guest.as));
  await checked;
  await service.database.query(sql);
  pause.resume();
  expect(await refusal).toMatchObject({ code: Code.Unauthenticated, reason: 'SESSION_REVOKED' });
  const again = await refusalOf(service.clients('grpc').auth.register(ada, guest.as));
  expect(again.reason).toBe('SESSION_REVOKED');
  expect(await service.database.query('select email from users')).toEqual([{ email: null }]);
  expect(await service.database.query('select from sessions')).toHaveLength(1);
});

test('parallel sign-ins never leave more sessions than a user may have', async () => {
  const { barrier, service } = await startWithBarrier('SignIn');
  const { session } = await service.welcome();
  await service.database.query(
    `insert into sessions select ('01900000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid, project_id, user_id, kind, aal, amr,
       generation, secret_hash, user_agent, address, created_at, refreshed_at, idle_seconds, idle_expires_at, expires_at,
       refresh_window_at, refresh_count, revoked_at, revoke_reason
     from sessions, generate_series(1, $2) as i where id = $1`,
    [session.id, 200 - 3],
  );
  barrier.expect(crowd);
  const { answers, errors } = await together((i) => service.clients('grpc', i).auth.signIn(ada));
  expect(errors).toEqual([]);
  expect(await service.database.query('select from sessions where revoked_at is null')).toHaveLength(200);
  for (const { tokens } of answers) await service.clients('json').auth.getMe({}, bearer(tokens!));
});
