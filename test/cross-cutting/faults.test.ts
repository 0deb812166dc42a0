import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { ofCalls } from '../support/methods.ts';
import { ada, asService, bob, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { type DatabaseProxy, startProxy } from '../support/proxy.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { startReplica } from '../support/replica.ts';
import { start } from '../support/start.ts';

/** A process behind a proxy that may stop it at any statement, and a function that starts its successor. */
async function serveBehindProxy() {
  const database = await createDatabase();
  const proxy = await startProxy();
  const { MASTER_KEYS } = testEnv;
  const first = await serve({ MASTER_KEYS, DATABASE_URL: proxy.url(database), AUTO_CONFIRM_EMAIL: 'on' });
  return { database, proxy, first, restart: () => startReplica(database, { AUTO_CONFIRM_EMAIL: 'on' }) };
}

async function partsOf(database: TestDatabase, email: string): Promise<unknown> {
  const [row] = await database.query(
    `select (select count(*)::int from users where email = $1) as users, (select count(*)::int from sessions) as sessions,
       (select count(*)::int from audit_events where action = 'auth.register') as events`,
    [email],
  );
  return row;
}

/** How a registration is committed: by its only statement or, with a request id, by a transaction. */
const commits: readonly (readonly [how: string, commit: string | RegExp, request: () => typeof bob])[] = [
  ['by itself', 'user_register', () => bob],
  ['in a transaction', /^commit$/, () => ({ ...bob, requestId: randomUUID() })],
];

describe.each(commits)('a process that is killed while a registration is committed %s', (_, commit, request) => {
  test('between the commit and its response has registered one user, and a retry says so', async () => {
    const { database, proxy, first, restart } = await serveBehindProxy();
    const committed = proxy.hold('after', commit);
    const lost = unknownOutcome(first.clients.grpc.auth.register(request()));
    await committed;
    await first.end('SIGKILL');
    await lost;
    const second = await restart();
    expect(await partsOf(database, bob.email)).toEqual({ users: 1, sessions: 1, events: 1 });
    const again = await refusalOf(second.auth.register(bob));
    expect(again.reason).toBe('EMAIL_ALREADY_REGISTERED');
    expect((await second.auth.signIn(bob)).user!.email).toBe(bob.email);
    expect(await partsOf(database, bob.email)).toEqual({ users: 1, sessions: 2, events: 1 });
  });

  test('before the commit has written nothing, and a retry succeeds', async () => {
    const { database, proxy, first, restart } = await serveBehindProxy();
    const committing = proxy.hold('before', commit);
    const lost = unknownOutcome(first.clients.json.auth.register(request()));
    const held = await committing;
    await first.end('SIGKILL');
    held.reset();
    await lost;
    const second = await restart();
    expect(await partsOf(database, bob.email)).toEqual({ users: 0, sessions: 0, events: 0 });
    await second.auth.register(bob);
    expect(await partsOf(database, bob.email)).toEqual({ users: 1, sessions: 1, events: 1 });
  });
});

describe('a process that is killed', () => {
  test('between a refresh and its response has lost nothing: the same token gives the same successor', async () => {
    const { database, proxy, first, restart } = await serveBehindProxy();
    const { tokens } = await first.clients.grpc.auth.register(bob);
    const rotated = proxy.hold('after', 'session_rotate');
    const lost = unknownOutcome(first.clients.grpc.sessions.refresh({ refreshToken: tokens!.refreshToken }));
    await rotated;
    await first.end('SIGKILL');
    await lost;
    const second = await restart();
    expect(await database.query('select generation from sessions')).toEqual([{ generation: 1 }]);
    const { sessions } = second;
    const retried = await sessions.refresh({ refreshToken: tokens!.refreshToken });
    expect(await database.query('select generation from sessions')).toEqual([{ generation: 1 }]);
    const next = await sessions.refresh({ refreshToken: retried.tokens!.refreshToken });
    expect(next.tokens!.refreshToken).not.toBe(retried.tokens!.refreshToken);
  });

  test('after an acknowledged revocation leaves the session revoked', async () => {
    const { first, restart } = await serveBehindProxy();
    const { tokens } = await first.clients.grpc.auth.register(bob);
    await first.clients.grpc.sessions.signOut({ refreshToken: tokens!.refreshToken });
    await first.end('SIGKILL');
    const { sessions } = await restart();
    const refreshed = await refusalOf(sessions.refresh({ refreshToken: tokens!.refreshToken }));
    expect(refreshed.reason).toBe('SESSION_REVOKED');
    expect((await sessions.introspect({ token: tokens!.accessToken }, asService)).active).toBe(false);
  });
});

async function unknownOutcome(call: Promise<unknown>): Promise<void> {
  const error = await call.then(() => undefined, ConnectError.from);
  expect([Code.Unavailable, Code.Aborted, Code.Internal, Code.Unknown]).toContain(error?.code);
  expect(error && reasonOf(error), 'no response of the service').toBeUndefined();
}

describe('a connection that breaks', () => {
  test.each(commits.flatMap((each) => [['before', 0, ...each] as const, ['after', 1, ...each] as const]))(
    '%s PostgreSQL has committed (%i) a registration %s leaves the outcome open: UNAVAILABLE, never a refusal',
    async (when, users, _, commit, request) => {
      const proxy = await startProxy();
      const service = await start({ databaseUrl: proxy.url, env: { AUTO_CONFIRM_EMAIL: 'on' } });
      const committing = proxy.hold(when, commit);
      const call = refusalOf(service.clients('grpc').auth.register(request()));
      (await committing).reset();
      expect(await call).toMatchObject({ reason: 'DATABASE_UNAVAILABLE', code: Code.Unavailable, retryAfter: 1 });
      await expect.poll(() => partsOf(service.database, bob.email)).toEqual({ users, sessions: users, events: users });
      const again = await service
        .clients('grpc')
        .auth.register(bob)
        .then(() => undefined, reasonOf);
      expect(again).toBe(users ? 'EMAIL_ALREADY_REGISTERED' : undefined);
    },
  );

  test('after PostgreSQL has rotated a token loses nothing: the same token gives the same successor', async () => {
    const proxy = await startProxy();
    const service = await start({ databaseUrl: proxy.url });
    const { tokens, session } = await service.welcome(ada);
    const { sessions } = service.clients('json');
    const rotated = proxy.hold('after', 'session_rotate');
    const call = refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }));
    (await rotated).reset();
    expect((await call).reason).toBe('DATABASE_UNAVAILABLE');
    const [first, second] = await Promise.all(
      [1, 2].map(() => sessions.refresh({ refreshToken: tokens.refreshToken })),
    );
    expect(first!.tokens!.refreshToken).toBe(second!.tokens!.refreshToken);
    const [row] = await service.database.query('select generation from sessions where id = $1', [session.id]);
    expect(row).toEqual({ generation: 1 });
  });

  test('while a statement is being cancelled over it does not end the process', async () => {
    const proxy = await startProxy();
    const service = await start({ databaseUrl: proxy.url });
    await service.welcome(ada);
    const release = await service.database.hold('lock table users');
    const cancelling = proxy.hold('before', /^cancel$/);
    const { auth } = service.clients('json');
    const late = refusalOf(auth.signIn(ada, { headers: { 'connect-timeout-ms': '1000' } }));
    expect((await late).reason).toBe('DEADLINE_EXCEEDED');
    (await cancelling).reset();
    await sleep(100);
    await release();
    expect((await auth.signIn(ada)).user!.email).toBe(ada.email);
  });

  test('or falls silent while a statement is being cancelled over it leaves the pool whole', async () => {
    const proxy = await startProxy();
    const env = { DATABASE_POOL_SIZE: '1', DATABASE_STATEMENT_TIMEOUT: '1s' };
    const service = await start({ databaseUrl: proxy.url, env });
    const { user, tokens, as } = await service.welcome(ada);
    const { auth, sessions, admin } = service.clients('json');
    const headers = { ...asService.headers, 'connect-timeout-ms': '200' };
    const calls = [
      () => admin.getUser({ userId: user.id }, { headers }), // by the ORM
      () => sessions.refresh({ refreshToken: tokens.refreshToken }, { headers }), // past it
    ];
    for (const call of calls) {
      const release = await service.database.hold('lock table users');
      const cancelling = proxy.hold('before', /^cancel$/);
      expect((await refusalOf(call())).reason).toBe('DEADLINE_EXCEEDED');
      await cancelling; // and it stays held
      await release();
      const again = () => auth.getMe({}, as).then(() => 'works', reasonOf);
      await expect.poll(again, { timeout: 8000 }).toBe('works');
    }
  });

  test('at any statement of a call leaves the pool whole', async () => {
    const proxy = await startProxy();
    const service = await start({ databaseUrl: proxy.url, env: { DATABASE_POOL_SIZE: '2' } });
    await service.welcome(ada);
    const { auth, admin } = service.clients('grpc');
    let people = 0;
    const calls = [
      () => auth.signIn(ada),
      () => admin.createUser({ ...bob, email: `bob-${people++}@example.org` }, asService),
    ];
    for (const call of calls) {
      const before = proxy.statements.length;
      await call();
      const statements = ofCalls(proxy.statements.slice(before));
      expect(statements.length).toBeGreaterThan(1);
      for (const [place, { text, name }] of statements.entries()) {
        // A read is repeated over another connection.
        const expected = name === 'user_by_email' ? 'answered' : 'DATABASE_UNAVAILABLE';
        // Background jobs begin and commit as well: breaking their connection does not break the call.
        const outcomes: string[] = [];
        while (outcomes.length < 5 && outcomes.at(-1) !== expected)
          outcomes.push(await breakAt(proxy, text, statements[place - 1]?.text, call));
        expect(outcomes.at(-1), text).toBe(expected);
      }
    }
    const answers = await Promise.all(Array.from({ length: 10 }, () => auth.signIn(ada)));
    expect(answers).toHaveLength(10);
  });
});

describe('a network that', () => {
  test('is slow delays calls, and calls with a short deadline end at it', async () => {
    const proxy = await startProxy();
    const service = await start({ databaseUrl: proxy.url });
    const { tokens, as } = await service.welcome(ada);
    const { sessions, auth } = service.clients('json');
    proxy.delay = 50;
    await auth.getMe({}, as);
    await sessions.refresh({ refreshToken: tokens.refreshToken });
    proxy.delay = 3000;
    const asked = performance.now();
    const late = await refusalOf(auth.signIn(ada, { headers: { 'connect-timeout-ms': '300' } }));
    expect(late.reason).toBe('DEADLINE_EXCEEDED');
    expect(performance.now() - asked, 'less than one statement takes').toBeLessThan(2500);
    proxy.delay = 0;
    await expect.poll(() => auth.signIn(ada).then(() => 'works', reasonOf), { timeout: 20_000 }).toBe('works');
  });

  test('falls silent is noticed: calls end in time, and dead connections are closed', async () => {
    const proxy = await startProxy();
    const env = { DATABASE_POOL_SIZE: '3', DATABASE_STATEMENT_TIMEOUT: '4s', LIMITS: '*=50' };
    const service = await start({ databaseUrl: proxy.url, env });
    const { as } = await service.welcome(ada);
    const { auth, sessions } = service.clients('json');
    const headers = { ...as.headers, 'connect-timeout-ms': '500' };
    const call = (options = as) => auth.getMe({}, options).then(() => 'works', reasonOf);
    expect(await Promise.all([call(), call(), call()])).toEqual(['works', 'works', 'works']);
    proxy.silence();
    const asked = performance.now();
    const reasons = await Promise.all(Array.from({ length: 6 }, () => call({ headers })));
    for (const reason of reasons) expect(['DEADLINE_EXCEEDED', 'DATABASE_UNAVAILABLE']).toContain(reason);
    expect(performance.now() - asked, 'before the connections are found dead').toBeLessThan(4000);
    // The old connections stay silent; new ones work.
    proxy.forget();
    await expect.poll(() => call({ headers }), { timeout: 20_000, interval: 100 }).toBe('works');
    expect(await Promise.all(Array.from({ length: 6 }, () => call()))).toEqual(Array(6).fill('works'));
    const list = () => sessions.listSessions({}, as).then((listed) => listed.sessions.length, reasonOf);
    await expect.poll(list, { timeout: 20_000, interval: 100 }).toBe(1);
  });
});

/** The outcome of a call whose connection breaks at this statement, where it follows the one before it. */
async function breakAt(
  proxy: DatabaseProxy,
  text: string,
  before: string | undefined,
  call: () => Promise<unknown>,
): Promise<string> {
  const last = new Map<number, string>();
  const reached = proxy.hold('before', (each) => {
    const follows = text !== 'commit' || last.get(each.connection) === before?.slice(0, 40);
    // The ORM writes values into the text after that.
    last.set(each.connection, each.text.slice(0, 40));
    return each.text.slice(0, 40) === text.slice(0, 40) && follows;
  });
  const outcome = call().then(
    () => 'answered',
    async (error) => (await refusalOf(Promise.reject(error))).reason!,
  );
  (await reached).reset();
  return outcome;
}
