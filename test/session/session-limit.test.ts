// @serializable
import { describe, expect, test } from 'vitest';
import { faulty } from '../support/config-fixtures.ts';
import { tokenFor } from '../support/inbox.ts';
import { ada, asService } from '../support/people.ts';
import { together } from '../support/race.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

type SignedIn = Awaited<ReturnType<TestService['signIn']>>;

/** Signs ada in a number of times, a second apart. */
async function signInTimes(service: TestService, count: number): Promise<SignedIn[]> {
  const all: SignedIn[] = [];
  for (let i = 0; i < count; i++) {
    all.push(await service.signIn());
    service.pass(1);
  }
  return all;
}

async function heldBy(service: TestService): Promise<string[]> {
  const rows = await service.database.query<{ id: string }>(
    'select id from sessions where revoked_at is null order by created_at, id',
  );
  return rows.map(({ id }) => id);
}

const idsOf = (all: readonly SignedIn[]) => all.map(({ session }) => session.id);

describe.each(wires)('over %s', (wire) => {
  test('beyond the limit expired sessions end first, then never refreshed ones, then the least recently refreshed', async () => {
    const service = await start({ env: { SESSIONS_PER_USER: '5' } });
    const { auth, sessions } = service.clients(wire);
    await service.clients('json').admin.createUser(ada, asService);
    const [first, second, third, fourth, fifth] = (await signInTimes(service, 5)) as [
      SignedIn,
      SignedIn,
      SignedIn,
      SignedIn,
      SignedIn,
    ];
    for (const { tokens } of [second, first, fourth]) {
      await sessions.refresh({ refreshToken: tokens.refreshToken });
      service.pass(1);
    }
    await service.database.query(
      `update sessions set idle_expires_at = created_at, refreshed_at = now() + interval '1 day' where id = $1`,
      [fourth.session.id],
    );
    const expected = [
      [fourth, 'the expired one'],
      [third, 'the oldest of those that were never refreshed'],
      [fifth, 'the other one that was never refreshed'],
    ] as const;
    for (const [{ session }, what] of expected) {
      await auth.signIn(ada);
      service.pass(1);
      const held = await heldBy(service);
      expect(held, what).toHaveLength(5);
      expect(held, what).not.toContain(session.id);
    }
    expect(await heldBy(service)).toEqual(expect.arrayContaining(idsOf([first, second])));
  });

  test('a client that signs in every second ends no session in use', async () => {
    const service = await start({ env: { SESSIONS_PER_USER: '3' } });
    const { auth, sessions } = service.clients(wire);
    const used = await service.welcome();
    service.pass(1);
    const { tokens } = await sessions.refresh({ refreshToken: used.tokens.refreshToken });
    for (let i = 0; i < 8; i++) {
      await auth.signIn(ada);
      service.pass(1);
    }
    await sessions.refresh({ refreshToken: tokens!.refreshToken });
    expect(await heldBy(service)).toHaveLength(3);
  });

  test('of refreshed sessions the least recently refreshed one ends, and the newest refresh never does', async () => {
    const service = await start({ env: { SESSIONS_PER_USER: '3' } });
    const { auth, sessions } = service.clients(wire);
    await service.clients('json').admin.createUser(ada, asService);
    const [first, second, third] = (await signInTimes(service, 3)) as [SignedIn, SignedIn, SignedIn];
    for (const { tokens } of [third, first, second]) {
      await sessions.refresh({ refreshToken: tokens.refreshToken });
      service.pass(1);
    }
    await auth.signIn(ada);
    const { tokens } = third;
    expect((await refusalOf(sessions.refresh({ refreshToken: tokens.refreshToken }))).reason).toBe('SESSION_REVOKED');
    expect(await heldBy(service)).toEqual(expect.arrayContaining(idsOf([first, second])));
    const events = await service.database.query(`select session_id from audit_events where action = 'session.evicted'`);
    expect(events).toEqual([{ session_id: third.session.id }]);
  });

  test('a sign-in by a link keeps to the limit, and so does the first sign-in after the limit was reduced', async () => {
    const service = await start({ env: { SESSIONS_PER_USER: '1' } });
    const { auth } = service.clients(wire);
    const before = await service.welcome({ ...ada, emailVerified: true });
    await service.database.query(
      `insert into sessions (id, project_id, user_id, kind, aal, amr, generation, secret_hash, user_agent, address,
         created_at, refreshed_at, idle_seconds, idle_expires_at, expires_at, refresh_window_at, refresh_count)
       select gen_random_uuid(), project_id, user_id, kind, aal, amr, generation, secret_hash, user_agent, address,
         created_at, refreshed_at, idle_seconds, idle_expires_at, expires_at, refresh_window_at, refresh_count
       from sessions, generate_series(1, 30) where id = $1`,
      [before.session.id],
    );
    await auth.requestMagicLink({ email: ada.email });
    const { session } = await auth.signInWithMagicLink({ token: await tokenFor(service, ada.email) });
    expect(await heldBy(service)).toEqual([session!.id]);
    const [count] = await service.database.query(
      `select count(*)::int as evicted from audit_events where action = 'session.evicted'`,
    );
    expect(count).toEqual({ evicted: 31 });
  });
});

test('a user with fewer sessions than the limit keeps them all, and the one beyond it takes the place of the oldest', async () => {
  const limit = 51;
  const service = await start({ env: { SESSIONS_PER_USER: `${limit}`, LIMITS: '*=off' } });
  await service.welcome();
  await service.database.query('delete from sessions');
  const all = await signInTimes(service, limit);
  expect(await heldBy(service)).toEqual(idsOf(all));
  const more = await signInTimes(service, 1);
  expect(await heldBy(service)).toEqual(idsOf([...all.slice(1), ...more]));
});

test('while sessions are refreshed beside many sign-ins, the newest refresh is kept and the limit holds', async () => {
  const service = await start({ replicas: 2, env: { SESSIONS_PER_USER: '4' } });
  await service.clients('json').admin.createUser(ada, asService);
  const used = (await signInTimes(service, 3)).map(({ tokens }) => tokens.refreshToken);
  const refreshing = used.map(async (refreshToken, n) => {
    let token = refreshToken;
    for (let i = 0; i < 10; i++)
      token = (await service.clients('grpc', n).sessions.refresh({ refreshToken: token })).tokens!.refreshToken;
    return token;
  });
  const ends = Promise.allSettled(refreshing);
  const { errors } = await together((n) => service.clients('grpc', n).auth.signIn(ada));
  expect(errors).toEqual([]);
  expect((await ends).map(({ status }) => status)).toContain('fulfilled');
  expect((await heldBy(service)).length).toBe(4);
  const lastRefresh = await service.database.query<{ id: string }>(
    'select id from sessions where generation > 0 order by refreshed_at desc limit 1',
  );
  expect(await heldBy(service)).toContain(lastRefresh[0]!.id);
});

test.each(['0', '1001', '1.5'])('a limit of %s sessions is refused at the start', (SESSIONS_PER_USER) => {
  expect(faulty({ SESSIONS_PER_USER })).toEqual(['SESSIONS_PER_USER']);
});
