// @serializable
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import { expect, onTestFinished, test } from 'vitest';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { Autocommit } from '../../src/database/autocommit.ts';
import { openOrm } from '../../src/database/orm.ts';
import { Refusal } from '../../src/errors.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { TokenRotation } from '../../src/session/refresh.ts';
import { rotationStatements } from '../../src/session/refresh-statements.ts';
import { hashSessionSecret, readRefreshToken } from '../../src/session/refresh-token.ts';
import { asService } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

type Guest = Awaited<ReturnType<TestService['guest']>>;

/** A service with guests, where refreshes find one in flight and are coalesced. */
async function startBusy(count: number) {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url, env: { LIMITS: 'SessionService.Refresh:session=10,*=off' } });
  const guests: Guest[] = [];
  for (let i = 0; i < count; i++) guests.push(await service.guest());
  const { tokens } = await service.guest();
  const refresh = (refreshToken: string, signal?: AbortSignal) =>
    service.clients('grpc').sessions.refresh({ refreshToken }, signal ? { signal } : {});
  const batches = () => proxy.statements.filter(({ name }) => name === 'session_rotate_all').length;
  /** Keeps one refresh in flight until the returned function is called. */
  const occupy = async () => {
    const reached = proxy.hold('before', 'session_rotate');
    const occupant = refresh(tokens.refreshToken);
    const { letGo } = await reached;
    return () => {
      letGo();
      return occupant;
    };
  };
  const generations = async () => {
    const rows = await service.database.query<{ id: string; generation: number }>(
      'select id, generation from sessions',
    );
    return new Map(rows.map(({ id, generation }) => [id, generation]));
  };
  return { service, proxy, guests, refresh, batches, occupy, generations };
}

test.each(wires)(
  'over %s, sessions that refresh at once share statements, and each gets its own tokens',
  async (wire) => {
    const { service, proxy, guests, batches, occupy, generations } = await startBusy(20);
    const { sessions } = service.clients(wire);
    const release = await occupy();
    const calls = guests.map(({ tokens }) => sessions.refresh({ refreshToken: tokens.refreshToken }));
    const answers = await Promise.all(calls);
    expect(batches()).toBeGreaterThan(0);
    expect(batches()).toBeLessThan(20);
    expect(proxy.statements.filter(({ name }) => name === 'session_rotate').length, 'of single sessions').toBeLessThan(
      10,
    );
    await release();
    for (const [i, { tokens }] of answers.entries()) {
      expect(decodeJwt(tokens!.accessToken)).toMatchObject({
        sub: guests[i]!.user.id,
        session_id: guests[i]!.session.id,
      });
      expect((await generations()).get(guests[i]!.session.id)).toBe(1);
      await sessions.refresh({ refreshToken: tokens!.refreshToken });
    }
    expect(new Set(answers.map(({ tokens }) => tokens!.refreshToken)).size).toBe(20);
  },
);

test('an invalid token in a batch fails its own call only', async () => {
  const { service, guests, refresh, batches, occupy, generations } = await startBusy(7);
  const [fine, revoked, banned, replayed, old, busy, alsoFine] = guests.map(({ session, user, tokens }) => ({
    id: session.id,
    userId: user.id,
    token: tokens.refreshToken,
  }));
  await service.clients('grpc').sessions.signOut({ refreshToken: revoked!.token });
  await service.clients('grpc').admin.banUser({ userId: banned!.userId }, asService);
  const successor = (await refresh(replayed!.token)).tokens!.refreshToken;
  const newer = (await refresh(old!.token)).tokens!.refreshToken;
  await refresh(newer);
  await service.database.query('update sessions set refresh_count = 10 where id = $1', [busy!.id]);
  const before = batches();
  const release = await occupy();
  const outcomes = await Promise.all(
    [fine, revoked, banned, replayed, old, busy, alsoFine].map((each) =>
      refresh(each!.token).then(({ tokens }) => tokens!.refreshToken, reasonOf),
    ),
  );
  await release();
  expect(batches()).toBeGreaterThan(before);
  expect(outcomes).toEqual([
    expect.stringMatching(/^ghr_/),
    'SESSION_REVOKED',
    'SESSION_REVOKED',
    successor,
    'REFRESH_TOKEN_ALREADY_USED',
    'OVER_REQUEST_RATE_LIMIT',
    expect.stringMatching(/^ghr_/),
  ]);
  expect(await refusalOf(refresh(newer))).toMatchObject({ reason: 'REFRESH_TOKEN_ALREADY_USED' });
  const after = await generations();
  expect([fine, replayed, busy, alsoFine].map((each) => after.get(each!.id))).toEqual([1, 1, 0, 1]);
});

test('each token of a batch keeps its own attempt', async () => {
  const { service, guests, batches, occupy } = await startBusy(6);
  const { sessions } = service.clients('grpc');
  const calls = guests.map(({ tokens }, i) => ({
    refreshToken: tokens.refreshToken,
    attemptId: i < 4 ? `attempt-number-${i}`.padEnd(22, '_') : '',
  }));
  const release = await occupy();
  const successors = await Promise.all(calls.map(async (call) => (await sessions.refresh(call)).tokens!.refreshToken));
  expect(batches()).toBeGreaterThan(0);
  expect(batches()).toBeLessThan(6);
  await release();
  service.pass(3600);
  const again = (i: number, attemptId = calls[i]!.attemptId) =>
    sessions.refresh({ ...calls[i]!, attemptId }).then(({ tokens }) => tokens!.refreshToken, reasonOf);
  expect(await Promise.all([again(0), again(1), again(2)])).toEqual(successors.slice(0, 3));
  expect(await again(3, calls[2]!.attemptId)).toBe('REFRESH_TOKEN_ALREADY_USED');
  expect(await again(4)).toBe('REFRESH_TOKEN_ALREADY_USED');
  expect(await again(5, calls[0]!.attemptId)).toBe('REFRESH_TOKEN_ALREADY_USED');
});

test('a locked session does not delay the others of its batch', async () => {
  const { service, guests, refresh, batches, occupy } = await startBusy(6);
  const [locked, ...others] = guests.map(({ tokens, session }) => ({ token: tokens.refreshToken, id: session.id }));
  const unlock = await service.database.hold('select 1 from sessions where id = $1 for update', [locked!.id]);
  const release = await occupy();
  let isAnswered = false;
  const late = refresh(locked!.token).finally(() => {
    isAnswered = true;
  });
  await Promise.all(others.map(({ token }) => refresh(token)));
  expect(batches()).toBeGreaterThan(0);
  expect(isAnswered).toBe(false);
  await unlock();
  await late;
  await release();
});

test('the token of a call that was cancelled before the statement was sent is not used', async () => {
  const { service, proxy, guests, generations } = await startBusy(3);
  const orm = await openOrm(proxy.url(service.database));
  onTestFinished(() => orm.close(true));
  const rotation = new TokenRotation({
    ...{ statements: rotationStatements, shared: new Autocommit(orm), now: service.now, patience: 60_000 },
    rules: { reuseInterval: 10, perMinute: 10 },
  });
  const keys = new MasterKeys(service.config.masterKeys);
  const use = ({ tokens }: Guest, signal?: AbortSignal) => {
    const { secret, ...token } = readRefreshToken(keys, defaultProjectId, tokens.refreshToken)!;
    return rotation.rotate(new Autocommit(orm, signal), {
      ...token,
      secretHash: hashSessionSecret(secret),
      attemptHash: null,
      projectId: defaultProjectId,
      address: '192.0.2.1',
      userAgent: '',
    });
  };
  const [alone, ahead, behind] = guests as [Guest, Guest, Guest];
  const first = proxy.hold('before', 'session_rotate');
  const calls = [use(alone)];
  const occupied = await first;
  const second = proxy.hold('before', 'session_rotate_all');
  calls.push(use(ahead));
  const away = await second;
  const leaving = new AbortController();
  const left = use(behind, leaving.signal);
  leaving.abort(new Refusal('CANCELED'));
  for (const { letGo } of [occupied, away]) letGo();
  await expect(left).rejects.toMatchObject({ reason: 'CANCELED' });
  await Promise.all(calls);
  const after = await generations();
  expect([alone, ahead, behind].map(({ session }) => after.get(session.id))).toEqual([1, 1, 0]);
});

test('refreshes of one session follow one another, also one that begins while another waits for the database', async () => {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url });
  const { tokens } = await service.guest();
  const refresh = () => service.clients('json').sessions.refresh({ refreshToken: tokens.refreshToken });
  const first = proxy.hold('before', 'session_rotate');
  const calls = [refresh()];
  const one = await first;
  const second = proxy.hold('before', 'session_rotate');
  calls.push(refresh());
  one.letGo();
  const two = await second;
  calls.push(refresh());
  await sleep(200);
  const sent = proxy.statements.filter(({ name }) => name.startsWith('session_rotate'));
  two.letGo();
  const successors = await Promise.all(calls);
  expect(sent).toHaveLength(2);
  expect(new Set(successors.map((each) => each.tokens!.refreshToken)).size).toBe(1);
});

test('coalesced look-ups return to each caller the session that was asked for', async () => {
  const service = await start();
  await service.welcome();
  const own = await Promise.all(Array.from({ length: 4 }, () => service.signIn()));
  const { sessions } = service.clients('grpc');
  const asked = Array.from({ length: 24 }, (_, n) => [own[n % 4]!, own[(n + 1) % 4]!] as const);
  const calls = asked.map(async ([mine, other]) => {
    const [shown, introspected] = await Promise.all([
      sessions.getSession({ sessionId: other.session.id }, mine.as),
      sessions.introspect({ token: mine.tokens.accessToken }, asService),
    ]);
    expect(shown.session).toMatchObject({ id: other.session.id, current: false });
    expect(introspected).toMatchObject({ active: true, sessionId: mine.session.id });
  });
  await Promise.all(calls);
});

test('twenty introspections that arrive together need few statements', async () => {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url });
  const { sessions } = service.clients('grpc');
  const guests = await Promise.all(Array.from({ length: 20 }, () => service.guest()));
  const before = proxy.statements.length;
  const calls = guests.map(({ tokens }) => sessions.introspect({ token: tokens.accessToken }, asService));
  const found = await Promise.all(calls);
  expect(found.map(({ sessionId }) => sessionId)).toEqual(guests.map(({ session }) => session.id));
  const sent = proxy.statements.slice(before).filter(({ name }) => name === 'session_states_introspected');
  expect(sent.length).toBeLessThan(10);
});

test('two replicas that refresh the same sessions at once do not block each other, and use each token once', async () => {
  const service = await start({ replicas: 2 });
  const guests: Guest[] = [];
  for (let i = 0; i < 10; i++) guests.push(await service.guest());
  const refresh = (replica: number, { tokens: { refreshToken } }: Guest) =>
    service.clients('grpc', replica).sessions.refresh({ refreshToken });
  const forwards = guests.map((guest) => refresh(0, guest));
  const backwards = guests.toReversed().map((guest) => refresh(1, guest));
  const successors = (await Promise.all([...forwards, ...backwards])).map(({ tokens }) => tokens!.refreshToken);
  expect(successors.slice(0, 10)).toEqual(successors.slice(10).reverse());
  expect(new Set(successors).size).toBe(10);
  expect(await service.database.query('select distinct generation from sessions')).toEqual([{ generation: 1 }]);
});
