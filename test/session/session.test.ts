// @serializable
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import type { ListSessionsResponse, Session } from '../../gen/gatehouse/v1/session_pb.ts';
import { deviceName } from '../../src/session/device-name.ts';
import { ada, bob } from '../support/people.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
const nobody = '01900000-0000-7000-8000-000000000000';

function idsOf({ sessions }: ListSessionsResponse): string[] {
  return sessions.map((each) => each.id);
}

describe.each(wires)('over %s', (wire) => {
  test('ListSessions lists the caller’s live sessions, newest first, and marks the current one', async () => {
    const service = await start({ env: { TRUSTED_PROXY_HOPS: '1' } });
    const { auth, sessions } = service.clients(wire);
    const first = await service.welcome();
    await service.welcome(bob);
    const headers = { 'x-forwarded-for': '2001:db8::7' };
    const second = await auth.signIn(ada, { headers });
    const listed = await sessions.listSessions({}, first.as);
    expect(idsOf(listed)).toEqual([second.session!.id, first.session.id]);
    expect(listed.sessions.map((each) => each.current)).toEqual([false, true]);
    expect(listed.nextPageToken).toBe('');
    const [newest] = listed.sessions;
    expect(newest).toMatchObject({
      userId: first.user.id,
      address: '2001:db8::7',
      aal: AssuranceLevel.AAL1,
      amr: [{ method: 'password' }],
      lastActiveTime: newest!.createTime,
    });
    expect(newest!.userAgent).not.toBe('');
    expect(Math.abs(timestampDate(newest!.createTime!).getTime() - Date.now())).toBeLessThan(60_000);
    expect((await sessions.getSession({ sessionId: newest!.id }, first.as)).session).toEqual(newest);
    expect((await sessions.getSession({ sessionId: newest!.id }, bearer(second.tokens!))).session!.current).toBe(true);
  });

  test('the sessions of another user are not listed, and each is SESSION_NOT_FOUND', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { session, tokens } = await service.welcome();
    const other = await service.welcome(bob);
    expect(idsOf(await sessions.listSessions({}, other.as))).toEqual([other.session.id]);
    for (const method of ['getSession', 'revokeSession'] as const) {
      const refused = (sessionId: string) => () => sessions[method]({ sessionId }, other.as);
      const foreign = await refusalWithoutTrace(service.database, refused(session.id));
      expect(foreign).toMatchObject({ code: Code.NotFound, reason: 'SESSION_NOT_FOUND' });
      expect(await refusalWithoutTrace(service.database, refused(nobody))).toEqual(foreign);
    }
    await sessions.refresh({ refreshToken: tokens.refreshToken });
  });

  test('a revoked session is refused everywhere, and the other sessions stay live', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const kept = await service.welcome();
    const ended = await service.signIn();
    const sessionId = ended.session.id;
    await sessions.revokeSession({ sessionId }, kept.as);
    expect((await refusalOf(sessions.refresh({ refreshToken: ended.tokens.refreshToken }))).reason).toBe(
      'SESSION_REVOKED',
    );
    expect((await refusalOf(auth.getMe({}, ended.as))).reason).toBe('SESSION_REVOKED');
    expect(idsOf(await sessions.listSessions({}, kept.as))).toEqual([kept.session.id]);
    for (const method of ['getSession', 'revokeSession'] as const)
      expect((await refusalOf(sessions[method]({ sessionId }, kept.as))).reason).toBe('SESSION_NOT_FOUND');
    await sessions.refresh({ refreshToken: kept.tokens.refreshToken });
  });

  test('the current session cannot be revoked by its id, only by signing out', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { session, as } = await service.welcome();
    for (const sessionId of [session.id, session.id.toUpperCase()]) {
      const revoke = () => sessions.revokeSession({ sessionId }, as);
      expect(await refusalWithoutTrace(service.database, revoke)).toMatchObject({
        code: Code.FailedPrecondition,
        reason: 'CANNOT_DELETE_CURRENT_SESSION',
      });
    }
    expect(idsOf(await sessions.listSessions({}, as))).toEqual([session.id]);
  });

  test.each(['idle_expires_at', 'expires_at'])(
    'a session after its %s is neither listed nor found, and RevokeSession revokes it all the same',
    async (end) => {
      const service = await start();
      const { sessions } = service.clients(wire);
      const { session } = await service.welcome();
      await service.database.query(`update sessions set ${end} = now()`);
      const { as, session: current } = await service.signIn();
      expect(idsOf(await sessions.listSessions({}, as))).toEqual([current.id]);
      for (const method of ['getSession', 'revokeSession'] as const)
        expect((await refusalOf(sessions[method]({ sessionId: session.id }, as))).reason).toBe('SESSION_NOT_FOUND');
      const [row] = await service.database.query('select revoke_reason from sessions where id = $1', [session.id]);
      // A refresh that waits with an earlier clock must not prolong it.
      expect(row).toEqual({ revoke_reason: 'revoked' });
      const events = await service.database.query(`select 1 from audit_events where action = 'session.revoke'`);
      expect(events).toEqual([]);
    },
  );

  test('neither a session id nor an adjacent id is a credential', async () => {
    const service = await start({ skipChecks: ['secrets'] });
    const { auth, sessions } = service.clients(wire);
    const { session, as } = await service.welcome();
    const [listed] = (await sessions.listSessions({}, as)).sessions;
    for (const id of [session.id, listed!.id, session.id.replace(/.$/, '0'), session.id.replaceAll('-', '')]) {
      expect((await refusalOf(auth.getMe({}, bearer({ accessToken: id })))).reason).toBe('TOKEN_INVALID');
      expect((await refusalOf(sessions.refresh({ refreshToken: id }))).reason).toBe('REFRESH_TOKEN_INVALID');
    }
    const [row] = await service.database.query<{ bytes: number }>('select length(secret_hash) as bytes from sessions');
    expect(row).toEqual({ bytes: 32 });
    for (const sessionId of ['', 'x', `${session.id}0`, '%', "' or 1=1--"])
      expect((await refusalOf(sessions.getSession({ sessionId }, as))).code).toBe(Code.InvalidArgument);
  });

  test('pages have no gaps and no repetitions, also while sessions are opened and revoked', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { as, session } = await service.welcome();
    const ids = [session.id];
    for (let i = 0; i < 4; i++) ids.unshift((await service.signIn()).session.id);
    const seen: Session[] = [];
    const first = await sessions.listSessions({ pageSize: 2 }, as);
    seen.push(...first.sessions);
    await service.signIn();
    await sessions.revokeSession({ sessionId: ids[1]! }, as);
    for (let pageToken = first.nextPageToken; pageToken; ) {
      const page = await sessions.listSessions({ pageSize: 2, pageToken }, as);
      seen.push(...page.sessions);
      pageToken = page.nextPageToken;
    }
    expect(seen.map((each) => each.id)).toEqual(ids);
    expect(seen.map((each) => each.current)).toEqual([false, false, false, false, true]);
    expect(idsOf(await sessions.listSessions({ pageSize: 1 }, as))).toHaveLength(1);
  });

  test('a page token does not open the list of another user, and an invalid one is refused', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { as } = await service.welcome();
    await service.signIn();
    const other = await service.welcome(bob);
    const { nextPageToken: pageToken } = await sessions.listSessions({ pageSize: 1 }, as);
    expect(pageToken).not.toBe('');
    expect((await refusalOf(sessions.listSessions({ pageToken }, other.as))).reason).toBe('PAGE_TOKEN_INVALID');
    const garbage = [
      'x',
      'garbage',
      pageToken.slice(1),
      `${pageToken}A`,
      `${pageToken}==`,
      ` ${pageToken}`,
      'A'.repeat(64),
    ];
    for (const each of [...garbage, `${pageToken.slice(0, -1)}/`, "' or 1=1--"])
      expect(await refusalOf(sessions.listSessions({ pageToken: each }, as)), each).toMatchObject({
        code: Code.InvalidArgument,
        reason: 'PAGE_TOKEN_INVALID',
      });
    const tooLong = sessions.listSessions({ pageToken: 'A'.repeat(1025) }, as);
    expect((await refusalOf(tooLong)).fields).toEqual(['page_token']);
  });

  test('a guest has a session, and can read it', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const guest = await service.guest();
    const listed = await sessions.listSessions({}, guest.as);
    expect(idsOf(listed)).toEqual([guest.session.id]);
    expect(listed.sessions[0]!.amr.map((each) => each.method)).toEqual(['anonymous']);
    expect(decodeJwt(guest.tokens.accessToken).is_anonymous).toBe(true);
  });
});

test('a session shows the device name of the client that opened it', async () => {
  const service = await start();
  const { as } = await service.welcome();
  const { auth, sessions } = service.clients('json');
  await auth.signIn(ada, { headers: { 'user-agent': firefox } });
  const [newest] = (await sessions.listSessions({}, as)).sessions;
  expect(newest).toMatchObject({ deviceName: 'Firefox on Linux', userAgent: firefox });
});

test.each([
  ['', ''],
  [firefox, 'Firefox on Linux'],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1',
    'Safari on iOS',
  ],
  ['gatehouse-cli/1.2 (linux)', 'gatehouse-cli on Linux'],
  ['grpc-node-js/1.14.7', 'grpc-node-js'],
  ['(', '('],
])('the user agent %j has the device name %j', (userAgent, name) => {
  expect(deviceName(userAgent)).toBe(name);
});

test('a user has a limited number of sessions: one more revokes the oldest', async () => {
  const service = await start();
  const { sessions } = service.clients('grpc');
  const ended = await service.welcome();
  await sessions.signOut({}, ended.as);
  const { session, user, tokens } = await service.signIn();
  const other = await service.welcome(bob);
  const copied = `project_id, user_id, kind, aal, amr, generation, secret_hash, user_agent, address, created_at, refreshed_at,
    idle_seconds, idle_expires_at, expires_at, refresh_window_at, refresh_count`;
  await service.database.query(
    `insert into sessions (id, ${copied})
     select ('01900000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid, ${copied}
     from sessions, generate_series(1, $2) as i where id = $1`,
    [session.id, 200 - 1],
  );
  const { as } = await service.signIn();
  const live = await service.database.query<{ id: string }>(
    'select id from sessions where user_id = $1 and revoked_at is null order by id',
    [user.id],
  );
  expect(live).toHaveLength(200);
  expect(live[0]!.id).toBe('01900000-0000-7000-8000-000000000002');
  const revoked = await service.database.query(
    'select id, revoke_reason from sessions where revoked_at is not null order by id',
  );
  expect(revoked).toEqual([
    { id: '01900000-0000-7000-8000-000000000001', revoke_reason: 'session_limit' },
    { id: ended.session.id, revoke_reason: 'sign_out' },
  ]);
  const events = await service.database.query(
    `select session_id, user_id, actor_kind, actor_id, result from audit_events where action = 'session.evicted'`,
  );
  const [session_id, user_id] = ['01900000-0000-7000-8000-000000000001', user.id];
  expect(events).toEqual([{ session_id, user_id, actor_kind: 'user', actor_id: user.id, result: 'SUCCESS' }]);
  expect(idsOf(await sessions.listSessions({ pageSize: 100 }, as))).toHaveLength(100);
  await sessions.refresh({ refreshToken: tokens.refreshToken });
  await sessions.refresh({ refreshToken: other.tokens.refreshToken });
});

test('many users who share few connections each see only their own data', async () => {
  const service = await start({ env: { DATABASE_POOL_SIZE: '3', MAX_IN_FLIGHT: '1000' } });
  const { auth, sessions } = service.clients('grpc');
  const guests: Awaited<ReturnType<typeof service.guest>>[] = [];
  while (guests.length < 200) guests.push(...(await Promise.all(Array.from({ length: 10 }, () => service.guest()))));
  for (let from = 0; from < 200; from += 50) {
    const crew = guests.slice(from, from + 50);
    const seen = await Promise.all(
      crew.map(async ({ as }, i) =>
        i % 2 ? (await auth.getMe({}, as)).user!.id : (await sessions.listSessions({}, as)).sessions[0]!.userId,
      ),
    );
    expect(seen).toEqual(crew.map((each) => each.user.id));
  }
});
