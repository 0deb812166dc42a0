// @serializable
import { setTimeout as sleep } from 'node:timers/promises';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code, type Interceptor } from '@connectrpc/connect';
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { HealthCheckResponse_ServingStatus as Status } from '../../gen/grpc/health/v1/health_pb.ts';
import { bob } from '../support/people.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const hour = 3600;

describe.each(wires)('over %s', (wire) => {
  test('each refresh returns new tokens of the same session, and adds no row', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { tokens, session, user } = await service.welcome();
    const pairs = [tokens];
    for (let i = 0; i < 3; i++)
      pairs.push((await sessions.refresh({ refreshToken: pairs.at(-1)!.refreshToken })).tokens!);
    expect(new Set(pairs.map((each) => each.refreshToken)).size).toBe(4);
    expect(new Set(pairs.map((each) => each.accessToken)).size).toBe(4);
    expect(pairs.map((each) => decodeJwt(each.accessToken).session_id)).toEqual(Array(4).fill(session.id));
    for (const each of pairs) expect((await auth.getMe({}, bearer(each))).user!.id).toBe(user.id);
    const rows = await service.database.query('select generation from sessions');
    expect(rows).toEqual([{ generation: 3 }]);
  });

  test('a refresh updates the address, the device name and the time of the session', async () => {
    const service = await start({ env: { TRUSTED_PROXY_HOPS: '1' } });
    const { sessions } = service.clients(wire);
    const { tokens, session } = await service.welcome();
    service.pass(hour);
    const headers = { 'x-forwarded-for': '203.0.113.7' };
    const refreshed = await sessions.refresh({ refreshToken: tokens.refreshToken }, { headers });
    const seen = (await sessions.getSession({ sessionId: session.id }, bearer(refreshed.tokens!))).session!;
    expect(seen).toMatchObject({ address: '203.0.113.7', createTime: session.createTime });
    expect(seen.userAgent).not.toBe('');
    expect(timestampDate(seen.lastActiveTime!).getTime()).toBeGreaterThanOrEqual(
      timestampDate(session.lastActiveTime!).getTime() + hour * 1000,
    );
    expect(seen.idleExpireTime!.seconds).toBeGreaterThanOrEqual(session.idleExpireTime!.seconds + BigInt(hour));
    expect(seen.expireTime).toEqual(session.expireTime);
  });

  test('a token presented again within the interval returns the same successor, any number of times', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { tokens, session } = await service.welcome();
    const { refreshToken } = tokens;
    const first = await sessions.refresh({ refreshToken });
    service.pass(8);
    const replays = await Promise.all(Array.from({ length: 30 }, () => sessions.refresh({ refreshToken })));
    expect(new Set(replays.map((each) => each.tokens!.refreshToken))).toEqual(new Set([first.tokens!.refreshToken]));
    expect(replays.map((each) => each.tokens!.accessToken)).not.toContain(first.tokens!.accessToken);
    await auth.getMe({}, bearer(replays[0]!.tokens!));
    const [row] = await service.database.query('select generation from sessions where id = $1', [session.id]);
    expect(row).toEqual({ generation: 1 });
    service.pass(3);
    expect((await refusalOf(sessions.refresh({ refreshToken }))).reason, 'a replay does not prolong the interval').toBe(
      'REFRESH_TOKEN_ALREADY_USED',
    );
  });

  test('a token presented again after the interval revokes the session, although the call fails', async () => {
    const service = await start();
    const { auth, sessions } = service.clients(wire);
    const { tokens, session } = await service.welcome();
    const other = await service.signIn();
    const newest = (await sessions.refresh({ refreshToken: tokens.refreshToken })).tokens!;
    service.pass(10);
    const refused = await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }));
    expect(refused).toMatchObject({
      code: Code.Unauthenticated,
      reason: 'REFRESH_TOKEN_ALREADY_USED',
      message: 'Refresh token has been revoked',
    });
    const [row] = await service.database.query('select revoke_reason from sessions where id = $1', [session.id]);
    expect(row).toEqual({ revoke_reason: 'refresh_reuse' });
    const { refreshToken } = newest;
    expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(auth.getMe({}, bearer(newest)))).reason).toBe('SESSION_REVOKED');
    expect(await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken })), 'the answer stays').toEqual(
      refused,
    );
    await sessions.refresh({ refreshToken: other.tokens.refreshToken });
  });

  test('a token two generations old revokes the session at once', async () => {
    const service = await start();
    const { sessions } = service.clients(wire);
    const { tokens } = await service.welcome();
    const second = (await sessions.refresh({ refreshToken: tokens.refreshToken })).tokens!;
    const third = (await sessions.refresh({ refreshToken: second.refreshToken })).tokens!;
    const refusal = await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }));
    expect(refusal.reason).toBe('REFRESH_TOKEN_ALREADY_USED');
    for (const [{ refreshToken }, reason] of [
      [third, 'SESSION_REVOKED'],
      [second, 'REFRESH_TOKEN_ALREADY_USED'],
    ] as const)
      expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe(reason);
  });

  test('with an interval of 0 a token works once, also when the clock of the next call is behind', async () => {
    const service = await start({ env: { REFRESH_REUSE_INTERVAL: '0' } });
    const { sessions } = service.clients(wire);
    const { tokens } = await service.welcome();
    await sessions.refresh({ refreshToken: tokens.refreshToken });
    service.pass(-1);
    expect((await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }))).reason).toBe(
      'REFRESH_TOKEN_ALREADY_USED',
    );
  });

  test('a lost response can be repeated within the interval, and revokes the session after it', async () => {
    const done = Promise.withResolvers<void>();
    const lose: Interceptor = (next) => async (req) => {
      const answer = await next(req);
      if (!req.header.has('x-lost')) return answer;
      done.resolve();
      return new Promise(() => {});
    };
    const service = await start({ inner: [lose] });
    const { sessions } = service.clients(wire);
    const { tokens, session } = await service.welcome();
    const { refreshToken } = tokens;
    const client = new AbortController();
    const lost = sessions.refresh({ refreshToken }, { headers: { 'x-lost': 'yes' }, signal: client.signal });
    await done.promise;
    client.abort();
    await expect(lost).rejects.toMatchObject({ code: Code.Canceled });
    const [row] = await service.database.query('select generation from sessions where id = $1', [session.id]);
    expect(row, 'the refresh was done').toEqual({ generation: 1 });
    const again = (await sessions.refresh({ refreshToken })).tokens!;
    const next = (await sessions.refresh({ refreshToken: again.refreshToken })).tokens!;
    service.pass(11);
    expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('REFRESH_TOKEN_ALREADY_USED');
    expect((await refusalOf(sessions.refresh({ refreshToken: next.refreshToken }))).reason).toBe('SESSION_REVOKED');
  });

  test('a session expires when it is not refreshed in time, and at its absolute limit in any case', async () => {
    const service = await start({ env: { SESSION_LIFETIME_WEB: '10m/1h', ACCESS_TOKEN_LIFETIME: '7200' } });
    const { auth, sessions } = service.clients(wire);
    const idle = await service.welcome();
    let { tokens, session } = await service.signIn();
    for (let i = 0; i < 6; i++) {
      service.pass(9 * 60);
      tokens = (await sessions.refresh({ refreshToken: tokens.refreshToken })).tokens!;
    }
    expect((await refusalOf(sessions.refresh({ refreshToken: idle.tokens.refreshToken }))).reason).toBe(
      'SESSION_EXPIRED',
    );
    expect((await refusalOf(auth.getMe({}, idle.as))).reason).toBe('SESSION_EXPIRED');
    const listed = await sessions.listSessions({}, bearer(tokens));
    expect(listed.sessions.map((each) => each.id)).toEqual([session.id]);
    expect(listed.sessions[0]!.idleExpireTime, 'idling ends with the session').toEqual(session.expireTime);
    service.pass(6 * 60 + 1);
    const { refreshToken } = tokens;
    expect(await refusalOf(sessions.refresh({ refreshToken }))).toMatchObject({
      code: Code.Unauthenticated,
      reason: 'SESSION_EXPIRED',
    });
    expect((await refusalOf(auth.getMe({}, bearer(tokens)))).reason).toBe('SESSION_EXPIRED');
  });
});

test('refreshes that wait for a locked session fail soon, and leave connections for other calls', async () => {
  const service = await start({ env: { DATABASE_POOL_SIZE: '10' } });
  const { sessions } = service.clients('json');
  const { auth, health } = service.clients('grpc');
  const { tokens, session } = await service.welcome();
  const other = await service.welcome(bob);
  const release = await service.database.hold('select 1 from sessions where id = $1 for update', [session.id]);
  const since = performance.now();
  const waiting = Array.from({ length: 100 }, () =>
    sessions.refresh({ refreshToken: tokens.refreshToken }).then(() => 'OK', reasonOf),
  );
  await service.database.blocked(1);
  await sessions.refresh({ refreshToken: other.tokens.refreshToken });
  const times: number[] = [];
  while (performance.now() - since < 1500) {
    const asked = performance.now();
    expect((await auth.getMe({}, other.as)).user!.id).toBe(other.user.id);
    expect((await health.check({})).status).toBe(Status.SERVING);
    times.push(performance.now() - asked);
    await sleep(20);
  }
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(['DATABASE_UNAVAILABLE']));
  expect(times.toSorted((a, b) => a - b)[times.length >> 1], 'milliseconds that most calls wait').toBeLessThan(500);
  expect(performance.now() - since, 'far less than one after the other').toBeLessThan(10_000);
  await release();
  const [row] = await service.database.query('select generation from sessions where id = $1', [session.id]);
  expect(row).toEqual({ generation: 0 });
  await sessions.refresh({ refreshToken: tokens.refreshToken });
});
