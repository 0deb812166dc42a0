// @serializable
import { describe, expect, test } from 'vitest';
import { CurrentSession } from '../../gen/gatehouse/v1/auth_pb.ts';
import { asService, bob } from '../support/people.ts';
import { Barrier, crowd, Pause, together } from '../support/race.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';
import { identifiedCalls, newRequestId } from './identified-calls.ts';

describe.each(wires)('over %s', (wire) => {
  test.each(Object.entries(identifiedCalls))(
    'of parallel calls of %s with one id one has an effect, and all return its response',
    async (name, prepare) => {
      const barrier = new Barrier(name.split(' ')[0]!);
      const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
      const { call, effects } = await prepare(service);
      const before = await effects();
      barrier.expect(crowd);
      const requestId = newRequestId();
      const { answers, errors } = await together((i) => call(service.clients(wire, i), requestId));
      expect(errors).toEqual([]);
      expect(await effects()).toBe(before + 1);
      for (const answer of answers) expect(answer).toEqual(answers[0]);
    },
  );

  test.each(Object.entries(identifiedCalls))(
    'of parallel calls of %s with one id and two contents one content has an effect',
    async (name, prepare) => {
      const barrier = new Barrier(name.split(' ')[0]!);
      const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
      const { call, callWithOther } = await prepare(service);
      barrier.expect(crowd);
      const requestId = newRequestId();
      const { answers, errors } = await together((i) =>
        // Pairs, so that both contents reach both replicas.
        (i % 4 < 2 ? call : callWithOther)(service.clients(wire, i), requestId),
      );
      expect(new Set(errors.map(reasonOf))).toEqual(new Set(['REQUEST_ID_REUSED']));
      expect(answers.length).toBeGreaterThanOrEqual(Math.floor(crowd / 2) - 1);
      for (const answer of answers) expect(answer).toEqual(answers[0]);
    },
  );

  test('a duplicate waits for the first call, and takes its place when that fails', async () => {
    const pause = new Pause('CreateInviteCode', 'commit');
    const service = await start({ replicas: 2, inner: [pause.interceptor()] });
    const requestId = newRequestId();
    const create = (replica: number) => service.clients(wire, replica).admin.createInviteCode({ requestId }, asService);
    const reached = pause.next();
    const first = refusalOf(create(0));
    await reached;
    const second = create(1);
    await service.database.blocked(1);
    await service.database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and state = 'idle in transaction' and query like '%request_ids%'`,
    );
    const { inviteCode } = await second;
    pause.resume();
    expect((await first).reason).toBe('DATABASE_UNAVAILABLE');
    expect((await create(0)).inviteCode).toEqual(inviteCode);
    expect(await service.database.query('select 1 from invite_codes')).toHaveLength(1);
  });

  test('of parallel registrations with one id one creates the user, and all return the same user and session', async () => {
    const barrier = new Barrier('Register');
    const service = await start({ replicas: 2, env: { AUTO_CONFIRM_EMAIL: 'on' }, inner: [barrier.interceptor()] });
    barrier.expect(crowd);
    const requestId = newRequestId();
    const register = (i: number) => service.clients(wire, i).auth.register({ ...bob, requestId });
    const { answers, errors } = await together(register);
    expect(errors).toEqual([]);
    expect(new Set(answers.map(({ user }) => user!.id)).size).toBe(1);
    expect(new Set(answers.map(({ session }) => session!.id)).size).toBe(1);
    const [row] = await service.database.query<{ users: number; sessions: number; events: number }>(
      `select (select count(*)::int from users) as users, (select count(*)::int from sessions) as sessions,
         (select count(*)::int from audit_events where action = 'auth.register') as events`,
    );
    expect(row).toEqual({ users: 1, sessions: 1, events: 1 });
    const refreshed = await Promise.allSettled(
      answers.map(({ tokens }) => service.clients(wire).sessions.refresh({ refreshToken: tokens!.refreshToken })),
    );
    expect(
      refreshed.filter(({ status }) => status === 'fulfilled'),
      'the last pair is good',
    ).toHaveLength(1);
    const reasons = refreshed.flatMap((each) => (each.status === 'rejected' ? [reasonOf(each.reason)] : []));
    expect(new Set(reasons)).toEqual(new Set(['REFRESH_TOKEN_SUPERSEDED']));
  });

  test('of parallel registrations of a guest with one id one upgrades the guest, and all return the same session', async () => {
    const barrier = new Barrier('Register');
    const service = await start({ replicas: 2, env: { AUTO_CONFIRM_EMAIL: 'on' }, inner: [barrier.interceptor()] });
    const guest = await service.guest();
    barrier.expect(crowd);
    const requestId = newRequestId();
    const register = (i: number) => service.clients(wire, i).auth.register({ ...bob, requestId }, guest.as);
    const { answers, errors } = await together(register);
    expect(errors).toEqual([]);
    expect(new Set(answers.map(({ user }) => user!.id))).toEqual(new Set([guest.user.id]));
    expect(new Set(answers.map(({ session }) => session!.id))).toEqual(new Set([guest.session.id]));
  });

  test('a repeat with the password that is being replaced gets no tokens, and the session goes on', async () => {
    const pause = new Pause('ChangePassword', 'commit');
    const service = await start({ replicas: 2, env: { AUTO_CONFIRM_EMAIL: 'on' }, inner: [pause.interceptor()] });
    const { auth } = service.clients(wire);
    const request = { ...bob, requestId: newRequestId() };
    const { tokens } = await auth.register(request);
    const passwords = { currentPassword: bob.password, newPassword: 'quite another phrase' };
    const reached = pause.next();
    const changing = auth.changePassword({ ...passwords, currentSession: CurrentSession.KEEP }, bearer(tokens!));
    await reached;
    const repeated = service.clients(wire, 1).auth.register(request);
    await service.database.blocked(1);
    pause.resume();
    await changing;
    expect((await repeated).tokens).toBeUndefined();
    await auth.getMe({}, bearer(tokens!));
  });

  test('of parallel hidden registrations with one id one sends a mail', async () => {
    const barrier = new Barrier('Register');
    const service = await start({ replicas: 2, env: { HIDE_REGISTRATION: 'on' }, inner: [barrier.interceptor()] });
    barrier.expect(crowd);
    const requestId = newRequestId();
    const { errors } = await together((i) => service.clients(wire, i).auth.register({ ...bob, requestId }));
    expect(errors).toEqual([]);
    const [row] = await service.database.query<{ mails: number }>('select count(*)::int as mails from mail_outbox');
    expect(row!.mails).toBe(1);
  });
});
