import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { Transport } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { type Reason, Refusal, type RefusalOptions } from '../../src/errors.ts';
import { createClients } from '../../src/sdk/clients.ts';
import { withRetries } from '../../src/sdk/retry.ts';
import { Code, ConnectError, type Interceptor, reasonOf, withBearer } from '../../src/sdk/surface.ts';
import { ada, serviceKey } from '../support/people.ts';
import { entries, failureOf, open } from '../support/sdk-entries.ts';
import { start } from '../support/start.ts';

/** Refuses the first calls of every method, and records the time of each. */
class Refusing {
  readonly calls: { readonly method: string; readonly at: number }[] = [];
  first = 0;
  #refusal: Refusal | undefined;

  /** From now on. */
  refuse(count: number, reason: Reason, options: RefusalOptions = {}): void {
    this.calls.length = 0;
    this.first = count;
    this.#refusal = new Refusal(reason, options);
  }

  readonly interceptor: Interceptor = (next) => async (req) => {
    this.calls.push({ method: req.method.name, at: performance.now() });
    if (this.#refusal && this.calls.length <= this.first) throw this.#refusal;
    return next(req);
  };
}

async function prepare(entry: (typeof entries)[number], options: Parameters<typeof open>[2] = {}) {
  const refusing = new Refusing();
  const service = await start({ inner: [refusing.interceptor] });
  const welcomed = await service.welcome();
  return { ...open(entry, service.replicas[0]!, options), ...welcomed, refusing };
}

describe.each(entries)('through gatehouse/%s', (entry) => {
  test('a read that finds the service busy is retried, after a growing pause', async () => {
    const { auth, as, refusing } = await prepare(entry);
    refusing.refuse(2, 'SERVER_BUSY');
    expect((await auth.getMe({}, as)).user!.email).toBe(ada.email);
    const [first, second, third] = refusing.calls.map(({ at }) => at);
    expect(second! - first!).toBeGreaterThan(120);
    expect(third! - second!).toBeGreaterThan(240);
    expect(third! - first!).toBeLessThan(2000);
  });

  test('an introspection is retried, although it is not marked as a read', async () => {
    const { sessions, tokens, refusing } = await prepare(entry);
    refusing.refuse(1, 'DATABASE_UNAVAILABLE');
    const seen = await sessions.introspect({ token: tokens.accessToken }, withBearer(serviceKey));
    expect(seen.active).toBe(true);
    expect(refusing.calls).toHaveLength(2);
  });

  test('a refresh is retried, because its attempt id stays the same', async () => {
    const { sessions, tokens, refusing } = await prepare(entry);
    refusing.refuse(2, 'DATABASE_UNAVAILABLE');
    await sessions.refresh({ refreshToken: tokens.refreshToken });
    expect(refusing.calls).toHaveLength(3);
  });

  test('a call that changes something is not retried', async () => {
    const { auth, sessions, accounts, admin, tokens, user, as, refusing } = await prepare(entry);
    refusing.refuse(100, 'SERVER_BUSY');
    const { error } = await failureOf(auth.signIn(ada));
    expect(reasonOf(error)).toBe('SERVER_BUSY');
    await failureOf(auth.signUpAnonymous({}));
    await failureOf(sessions.signOut({ refreshToken: tokens.refreshToken }));
    await failureOf(sessions.signOut({}, as));
    await failureOf(admin.banUser({ userId: user.id }, withBearer(serviceKey)));
    await failureOf(accounts.consumeUsage({ amount: 1 }, as));
    const methods = refusing.calls.map(({ method }) => method);
    expect(methods).toEqual(['SignIn', 'SignUpAnonymous', 'SignOut', 'SignOut', 'BanUser', 'ConsumeUsage']);
  });

  test('a call that fails otherwise is not retried', async () => {
    const { auth, as, refusing } = await prepare(entry);
    for (const reason of ['TRY_AGAIN', 'OVER_REQUEST_RATE_LIMIT', 'SESSION_REVOKED'] as const) {
      refusing.refuse(100, reason, { retryAfter: 0.1 });
      expect(reasonOf((await failureOf(auth.getMe({}, as))).error)).toBe(reason);
      expect(refusing.calls).toHaveLength(1);
    }
  });

  test('a call has four attempts', async () => {
    const { auth, as, refusing } = await prepare(entry);
    refusing.refuse(100, 'SHUTTING_DOWN');
    expect(reasonOf((await failureOf(auth.getMe({}, as))).error)).toBe('SHUTTING_DOWN');
    expect(refusing.calls).toHaveLength(4);
  });

  test('with maxAttempts 1 there is no retry', async () => {
    const { auth, as, refusing } = await prepare(entry, { maxAttempts: 1 });
    refusing.refuse(100, 'SERVER_BUSY');
    await failureOf(auth.getMe({}, as));
    expect(refusing.calls).toHaveLength(1);
  });

  test('no retry comes sooner than the service asked for', async () => {
    const { auth, as, refusing } = await prepare(entry);
    refusing.refuse(1, 'SERVER_BUSY', { retryAfter: 0.7 });
    await auth.getMe({}, as);
    const [first, second] = refusing.calls.map(({ at }) => at);
    expect(second! - first!).toBeGreaterThan(820);
  });

  test('a call does not wait for a retry after its deadline', async () => {
    const { auth, as, refusing } = await prepare(entry, { timeoutMs: 10_000 });
    refusing.refuse(100, 'SERVER_BUSY', { retryAfter: 30 });
    const { error, after } = await failureOf(auth.getMe({}, as));
    expect(reasonOf(error), 'and tells what is the matter, not that time is up').toBe('SERVER_BUSY');
    expect(after).toBeLessThan(5000);
    expect(refusing.calls).toHaveLength(1);
  });

  test('the deadline covers all attempts together', async () => {
    const { auth, as, refusing } = await prepare(entry, { timeoutMs: 1000, maxAttempts: 100 });
    refusing.refuse(100, 'SERVER_BUSY');
    const { error, after } = await failureOf(auth.getMe({}, as));
    expect(reasonOf(error)).toMatch(/SERVER_BUSY|DEADLINE_EXCEEDED/);
    expect(after).toBeLessThan(5000);
    expect(refusing.calls.length).toBeGreaterThan(1);
  });

  test('a call that is aborted while it waits ends at once', async () => {
    const { auth, as, refusing } = await prepare(entry);
    refusing.refuse(100, 'SERVER_BUSY', { retryAfter: 5 });
    const { error, after } = await failureOf(auth.getMe({}, { ...as, signal: AbortSignal.timeout(300) }));
    expect(reasonOf(error)).toBe('CANCELED');
    expect(after).toBeLessThan(2500);
    expect(refusing.calls).toHaveLength(1);
  });

  test('without a server, a read is retried and a change is not', async () => {
    const tries: string[] = [];
    const count: Interceptor = (next) => async (req) => {
      tries.push(req.method.name);
      return next(req);
    };
    const port = await closedPort();
    const { auth, sessions } = open(entry, { grpcPort: port, httpPort: port }, { interceptors: [count] });
    const change = await failureOf(sessions.signOut({ refreshToken: 'any' }));
    const read = await failureOf(auth.getMe({}, withBearer('any')));
    expect([change, read].map(({ error }) => error.code)).toEqual([Code.Unavailable, Code.Unavailable]);
    expect(tries).toEqual(['SignOut', ...Array(4).fill('GetMe')]);
  });
});

test('a call has a timeout of ten seconds by default', async () => {
  const timeouts: (number | undefined)[] = [];
  const fail = (...[, , timeoutMs]: Parameters<Transport['unary']>) => {
    timeouts.push(timeoutMs);
    return Promise.reject(new ConnectError('no', Code.Internal));
  };
  const transport = { unary: fail, stream: fail } as unknown as Transport;
  const { auth } = createClients(withRetries(transport, {}));
  for (const options of [{}, { timeoutMs: 50 }, { timeoutMs: 0 }]) await failureOf(auth.getMe({}, options));
  // Less the time that the call took to arrive.
  const [long, short, none] = timeouts;
  expect(long).toBeGreaterThan(9_000);
  expect(long).toBeLessThanOrEqual(10_000);
  expect(short).toBeLessThanOrEqual(50);
  expect(none).toBeUndefined();
});

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
