import { describe, expect, test } from 'vitest';
import { CliGuestState, GuestDisposition } from '../../gen/gatehouse/v1/cli_login_pb.ts';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { composeKey, hashKey } from '../../src/api-key/key-text.ts';
import { cliLogins, verified } from '../support/cli-logins.ts';
import { outcomeOf } from '../support/device-flow.ts';
import { asService } from '../support/people.ts';
import { bearer, start, type TestService, type Wire, wires } from '../support/start.ts';

const { MERGE } = GuestDisposition;

/** A login with a guest, and a user who completes it. */
async function prepare(wire: Wire) {
  const service = await start({ replicas: 2 });
  const logins = cliLogins(service, wire);
  const { as, user } = await service.welcome(verified);
  const login = await logins.startAsGuest();
  await logins.admin.updateUser({ userId: login.guest.user.id, userMetadata: { theme: 'dark' } }, asService);
  const complete = (replica = 0) =>
    outcomeOf(
      service
        .clients(wire, replica)
        .devices.completeCliLogin({ loginCode: login.loginCode, guestDisposition: MERGE }, as),
    );
  return { service, ...logins, as, user, login, complete };
}

/** A key of a guest, who can create none. */
async function plantKey({ database }: TestService, userId: string): Promise<string> {
  const text = composeKey('test', userId, Buffer.alloc(32, 7));
  await database.query(
    `insert into api_keys (id, project_id, user_id, name, prefix, hash, scopes, created_at, expires_at)
     select gen_random_uuid(), project_id, id, 'planted', $2, $3, '{}', now(), now() + interval '1 day' from users where id = $1`,
    [userId, text.slice(0, 17), hashKey(text)],
  );
  return text;
}

describe.each(wires)('over %s', (wire) => {
  test.each([
    ['the guest is deleted', 'users', 'update', 'when (new.deleted_at is not null)'],
    ['the sessions of the guest are revoked', 'sessions', 'update', 'when (new.revoked_at is not null)'],
    ['the login is approved', 'login_attempts', 'update', `when (new.state = 'approved')`],
    ['the merge is recorded', 'audit_events', 'insert', `when (new.action = 'user.merge')`],
  ])('a failure while %s rolls everything back', async (_, table, event, condition) => {
    const { service, devices, auth, admin, login, user, poll, complete } = await prepare(wire);
    const { query } = service.database;
    await query(
      `create function fail() returns trigger language plpgsql as $$ begin raise 'a fault' using errcode = '57014'; end $$`,
    );
    await query(`create trigger fault before ${event} on ${table} for each row ${condition} execute function fail()`);
    expect(await complete()).toBe('DATABASE_UNAVAILABLE');
    const { loginCode, pollingCode, guest } = login;
    expect((await poll(pollingCode)).state).toBe(LoginState.PENDING);
    expect((await devices.checkCliLogin({ loginCode })).guestState).toBe(CliGuestState.ANONYMOUS);
    expect((await auth.getMe({}, guest.as)).user).toMatchObject({ id: guest.user.id, isAnonymous: true });
    expect((await admin.getUser({ userId: user.id }, asService)).user!.userMetadata).toEqual({});
    expect((await admin.listAuditEvents({ action: 'user.merge' }, asService)).events).toEqual([]);
    await query(`drop trigger fault on ${table}`);
    expect(await complete(1)).toBe('OK');
    expect((await admin.getUser({ userId: user.id }, asService)).user!.userMetadata).toEqual({ theme: 'dark' });
    expect(await outcomeOf(auth.getMe({}, guest.as))).toBe('SESSION_REVOKED');
  });

  test('a merge transfers no key, no session and no approval of the guest, and ends them all', async () => {
    const { service, devices, sessions, auth, as, user, login, complete } = await prepare(wire);
    const { guest } = login;
    const planted = await plantKey(service, guest.user.id);
    const asKey = bearer({ accessToken: planted });
    expect((await auth.getMe({}, asKey)).user!.id).toBe(guest.user.id);
    const own = await devices.startCliLogin({ anonRefreshToken: guest.tokens.refreshToken });
    await devices.completeCliLogin({ loginCode: own.loginCode }, guest.as);
    const listed = (await sessions.listSessions({}, as)).sessions.map(({ id }) => id);
    expect(await complete()).toBe('OK');
    expect(await outcomeOf(auth.getMe({}, asKey))).toBe('API_KEY_INVALID');
    expect((await sessions.introspect({ token: planted }, asService)).active).toBe(false);
    expect(await outcomeOf(sessions.refresh({ refreshToken: guest.tokens.refreshToken }))).toBe('SESSION_REVOKED');
    expect((await devices.pollCliLogin({ pollingCode: own.pollingCode })).state).toBe(LoginState.DENIED);
    expect((await devices.listApiKeys({}, as)).apiKeys).toEqual([]);
    expect((await sessions.listSessions({}, as)).sessions.map(({ id }) => id)).toEqual(listed);
    const rows = await service.database.query(`select 1 from sessions where user_id = $1 and id <> all($2)`, [
      user.id,
      listed,
    ]);
    expect(rows).toEqual([]);
  });
});
