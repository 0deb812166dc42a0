// @serializable
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Interceptor } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { describe, expect, test } from 'vitest';
import { Refusal } from '../../src/errors.ts';
import { kWork, type Locks } from '../../src/rpc/context.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { beforeReturn, callEveryMethod, keepTrailUnsealed, ofCalls } from '../support/methods.ts';
import { ada, asService, bob } from '../support/people.ts';
import { startProxy } from '../support/proxy.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, type TestService } from '../support/start.ts';

type Closure = (em: EntityManager) => Promise<unknown>;

/** Wraps the closure of a method's transaction, and counts the runs of the method. */
function intercept(method: string, wrap: (closure: Closure, em: EntityManager, attempt: number) => Promise<unknown>) {
  const seen = { calls: 0, managers: [] as EntityManager[] };
  const interceptor: Interceptor = (next) => (req) => {
    if (req.method.name !== method) return next(req);
    seen.calls++;
    const work = req.contextValues.get(kWork)!;
    const change = <T>(closure: (em: EntityManager) => Promise<T>, locks?: Locks) =>
      work.change((em) => wrap(closure, em, seen.managers.push(em)) as Promise<T>, locks);
    const changeAlone: typeof work.changeAlone = (send) => change(send);
    req.contextValues.set(
      kWork,
      Object.create(work, { change: { value: change }, changeAlone: { value: changeAlone } }),
    );
    return next(req);
  };
  return { seen, inner: [interceptor] };
}

const lose: Closure = (em) => em.execute(`do $$ begin raise exception using errcode = '40001'; end $$`);

describe('a call', () => {
  test('has at most one transaction, whatever the method, and ends it before it returns', async () => {
    const proxy = await startProxy();
    const env = { ...(await providerEnv()), AUTO_CONFIRM_EMAIL: 'on' };
    const service = await start({ databaseUrl: proxy.url, env });
    await keepTrailUnsealed(service);
    await callEveryMethod(service, 'grpc', async ({ name, call }) => {
      const before = proxy.statements.length;
      await call();
      const sent = beforeReturn(proxy.statements.slice(before));
      const ends = sent.filter((text) => /^(begin|commit|rollback)$/.test(text)).join(' ');
      // Under serializable isolation a transaction may conflict with a job and run again.
      const once = process.env.ISOLATION ? /^((begin (commit|rollback) )*begin commit)?$/ : /^(begin commit)?$/;
      expect(ends, name).toMatch(once);
      if (ends) expect(sent.at(-1), name).toBe('commit');
    });
  });

  test('needs one connection at a time, whatever the method: a pool of one is enough', async () => {
    const proxy = await startProxy();
    const env = { DATABASE_POOL_SIZE: '1', LIMITS: '*=50', AUTO_CONFIRM_EMAIL: 'on' };
    const service = await start({ databaseUrl: proxy.url, env: { ...(await providerEnv()), ...env } });
    let most = 0;
    const called = new Set<string>();
    await callEveryMethod(service, 'json', async ({ name, call }) => {
      called.add(name.replace(/ .*/, ''));
      await call();
      most = Math.max(most, proxy.connections);
    });
    const methods = service.replicas[0]!.app.services.flatMap((each) => each.service.methods.map(({ name }) => name));
    // GetSettings exists in two services.
    expect([...called].sort(), 'methods.ts calls every method').toEqual([...new Set(methods)].sort());
    expect(most).toBe(1);
    // The rows of a refusal are written after the method's own connection was returned.
    await service.welcome({ email: 'edith@example.org', password: 'an evening of cards' });
    const { sessions, auth } = service.clients('json');
    const refused = await refusalOf(auth.signIn({ email: 'edith@example.org', password: 'not her password' }));
    expect(refused.reason).toBe('INVALID_CREDENTIALS');
    const { tokens } = await service.guest();
    await sessions.refresh({ refreshToken: tokens.refreshToken });
    service.pass(11);
    const reused = await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }));
    expect(reused.reason).toBe('REFRESH_TOKEN_ALREADY_USED');
    expect(proxy.connections).toBe(1);
  });

  test('that is refused rolls back all its writes', async () => {
    const { inner } = intercept('CreateUser', async (closure, em) => {
      await closure(em);
      await em.flush();
      throw new Refusal('USER_NOT_FOUND');
    });
    const { database, clients } = await start({ inner });
    const refusal = await refusalWithoutTrace(database, () => clients('grpc').admin.createUser(ada, asService));
    expect(refusal.reason).toBe('USER_NOT_FOUND');
    expect(await database.query('select * from audit_events')).toEqual([]);
  });

  test('has no second transaction', async () => {
    let second: unknown;
    const again: Interceptor = (next) => async (req) => {
      const answer = await next(req);
      const change = async () => req.contextValues.get(kWork)!.change(async () => {});
      if (req.method.name === 'CreateUser') second = await change().catch((error: unknown) => error);
      return answer;
    };
    const { clients } = await start({ inner: [again] });
    await clients('grpc').admin.createUser(ada, asService);
    expect(second).toMatchObject({ message: 'a call has one transaction' });
  });
});

describe('the write that a refusal must leave behind', () => {
  test('is committed although the call fails: the audit row of a wrong password', async () => {
    const service = await start();
    const { user } = await service.welcome(ada);
    const wrong = service.clients('grpc').auth.signIn({ ...ada, password: 'a wrong password' });
    expect((await refusalOf(wrong)).reason).toBe('INVALID_CREDENTIALS');
    const events = await failures(service);
    expect(events).toEqual([{ action: 'auth.login_failed', cause: 'wrong_password', user_id: user.id }]);
  });

  test('is committed although the deadline passes meanwhile: a session is revoked after reuse', async () => {
    const proxy = await startProxy();
    const service = await start({ databaseUrl: proxy.url });
    const { tokens, session } = await service.welcome(ada);
    const { sessions } = service.clients('json');
    await sessions.refresh({ refreshToken: tokens.refreshToken });
    service.pass(11);
    const burning = proxy.hold('before', 'session_burn');
    const late = refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }, within(1500)));
    const held = await burning;
    expect((await late).reason).toBe('DEADLINE_EXCEEDED');
    held.letGo();
    const reasons = () => service.database.query('select revoke_reason from sessions where id = $1', [session.id]);
    await expect.poll(reasons).toEqual([{ revoke_reason: 'refresh_reuse' }]);
    await expect.poll(() => failures(service)).toMatchObject([{ action: 'auth.refresh_reuse' }]);
  });

  test('is committed although the method refuses after the deadline: the audit row of a wrong password', async () => {
    const refuseLate: Interceptor = (next) => (req) =>
      next(req).catch((refusal) => once(req.signal, 'abort').then(() => Promise.reject(refusal)));
    const service = await start({ inner: [refuseLate] });
    await service.welcome(ada);
    const late = service.clients('json').auth.signIn({ ...ada, password: 'a wrong password' }, within(3000));
    expect((await refusalOf(late)).reason).toBe('DEADLINE_EXCEEDED');
    await expect
      .poll(() => failures(service))
      .toMatchObject([{ action: 'auth.login_failed', cause: 'wrong_password' }]);
  });

  test('is complete or missing, and when it fails the call fails', async () => {
    const proxy = await startProxy();
    const service = await start({ databaseUrl: proxy.url });
    const { tokens, session } = await service.welcome(ada);
    const { sessions } = service.clients('grpc');
    await sessions.refresh({ refreshToken: tokens.refreshToken });
    service.pass(11);
    const burnt = proxy.hold('after', 'session_burn');
    const refresh = refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }));
    (await burnt).reset();
    expect((await refresh).reason).toBe('DATABASE_UNAVAILABLE');
    const [row] = await service.database.query('select revoked_at from sessions where id = $1', [session.id]);
    expect(row).toEqual({ revoked_at: null });
    expect(await failures(service)).toEqual([]);
  });
});

describe('a transaction that conflicts with another', () => {
  test('runs again with a fresh entity manager, without repeating the method and its hash', async () => {
    const { inner, seen } = intercept('Register', async (closure, em, attempt) => {
      const answer = await closure(em);
      if (attempt < 3) await lose(em);
      return answer;
    });
    const proxy = await startProxy();
    const { clients, database } = await start({ inner, databaseUrl: proxy.url });
    await clients('grpc').auth.register(bob);
    expect(seen.calls).toBe(1);
    expect(new Set(seen.managers).size).toBe(3);
    const inserts = proxy.statements.filter(({ name }) => name === 'user_register');
    const hashes = inserts.map(({ values }) => /\$argon2id\$[^\0"]+/.exec(values)?.[0]);
    expect(hashes).toEqual([hashes[0], hashes[0], hashes[0]]);
    expect(hashes[0]).toBeDefined();
    expect(await database.query('select email from users')).toEqual([{ email: bob.email }]);
    expect(await database.query('select action from audit_events')).toEqual([{ action: 'auth.register' }]);
  });

  test('fails after eight attempts with growing waits: ABORTED, and nothing is committed', async () => {
    const times: number[] = [];
    const { inner, seen } = intercept('CreateUser', async (closure, em) => {
      times.push(performance.now());
      await closure(em);
      return lose(em);
    });
    const { clients, database } = await start({ inner });
    const refusal = await refusalWithoutTrace(database, () => clients('grpc').admin.createUser(ada, asService));
    expect(refusal).toMatchObject({ reason: 'TRY_AGAIN', code: 10 });
    expect(seen.calls).toBe(1);
    expect(new Set(seen.managers).size).toBe(8);
    expect(times.at(-1)! - times[0]!).toBeLessThan(5000);
  });

  test('is not repeated once the deadline has passed', async () => {
    const { inner, seen } = intercept('CreateUser', async (_, em) => {
      await sleep(200);
      return lose(em);
    });
    const { clients } = await start({ inner });
    const late = refusalOf(clients('json').admin.createUser(ada, within(300, asService)));
    expect((await late).reason).toBe('DEADLINE_EXCEEDED');
    const attempts = seen.managers.length;
    await sleep(400);
    expect(attempts).toBeLessThan(4);
    expect(seen.managers.length).toBe(attempts);
  });

  test('succeeds in the end after a deadlock: another transaction locks sessions first, BanUser users first', async () => {
    const { inner, seen } = intercept('BanUser', (closure, em) => closure(em));
    const proxy = await startProxy();
    const service = await start({ inner, databaseUrl: proxy.url });
    const { user, session } = await service.welcome(ada);
    const { query } = service.database;
    const revoking = proxy.hold('before', 'sessions_revoke');
    const ban = service.clients('grpc').admin.banUser({ userId: user.id }, asService);
    const held = await revoking;
    await query(`set deadlock_timeout = '1min'`); // so that the other transaction is not the one to be aborted
    await query('begin');
    await query('update sessions set aal = aal where id = $1', [session.id]);
    const crossing = query('update users set name = name where id = $1', [user.id]);
    held.letGo();
    await crossing;
    await query('commit');
    await ban;
    expect(seen.calls).toBe(1);
    // On a busy machine it may lose twice.
    expect(seen.managers.length).toBeGreaterThan(1);
    expect(await query('select revoke_reason from sessions')).toEqual([{ revoke_reason: 'banned' }]);
    expect(await query(`select action from audit_events where action = 'user.ban'`)).toHaveLength(1);
  });
});

describe('after the deadline', () => {
  test('a call that waited for the database does not commit', async () => {
    const proxy = await startProxy();
    const { clients, database } = await start({ databaseUrl: proxy.url });
    const inserted = proxy.hold('after', 'insert_users');
    const late = refusalOf(clients('json').admin.createUser(ada, within(1500, asService)));
    const held = await inserted;
    expect((await late).reason).toBe('DEADLINE_EXCEEDED');
    held.letGo();
    await expect.poll(() => ofCalls(proxy.statements).at(-1)!.text).toBe('rollback');
    expect(await database.query('select * from users')).toEqual([]);
  });

  test('a method that ignores its signal does not commit', async () => {
    const ended = Promise.withResolvers<void>();
    const { inner } = intercept('CreateUser', async (closure, em) => {
      await closure(em);
      await em.flush();
      await sleep(2000);
      ended.resolve();
    });
    const { clients, database } = await start({ inner });
    const late = refusalOf(clients('json').admin.createUser(ada, within(1500, asService)));
    expect((await late).reason).toBe('DEADLINE_EXCEEDED');
    await ended.promise;
    await sleep(50);
    expect(await database.query('select * from users')).toEqual([]);
  });

  test('a statement that still runs is cancelled in the database', async () => {
    const service = await start({ env: { DATABASE_STATEMENT_TIMEOUT: '30s' } });
    await service.welcome(ada);
    const release = await service.database.hold('lock table users');
    const asked = performance.now();
    const late = refusalOf(service.clients('json').auth.signIn(ada, within(1500)));
    await service.database.blocked(1);
    expect((await late).reason).toBe('DEADLINE_EXCEEDED');
    await expect.poll(() => waiting(service)).toBe(0);
    expect(performance.now() - asked, 'long before lock_timeout').toBeLessThan(8000);
    await release();
  });
});

/** A deadline that only the server enforces, so that the error is the server's. */
function within(milliseconds: number, { headers } = { headers: {} }) {
  return { headers: { ...headers, 'connect-timeout-ms': `${milliseconds}` } };
}

function failures({ database }: TestService) {
  return database.query(`select action, cause, user_id from audit_events where result = 'FAILURE'`);
}

/** The number of connections waiting for a lock. */
async function waiting({ database }: TestService): Promise<number> {
  const [row] = await database.query<{ n: number }>(
    `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return row!.n;
}
