import { describe, expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { actionsOf, fingerprintId, type Prepared, prepareLogins } from '../support/fingerprint-logins.ts';
import { asService } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, type TestService, wires } from '../support/start.ts';

const reasonOf = async (call: Promise<unknown>) => (await refusalOf(call)).reason;

describe.each(wires)('over %s a machine', (wire) => {
  test('has a login that is confirmed once: not again by the same user, and not by another', async () => {
    const { service, sessions, here, other, begin, poll, confirm } = await prepareLogins(wire);
    const login = await begin();
    await confirm(login);
    for (let round = 0; round < 2; round++) {
      expect(await refusalOf(confirm(login))).toMatchObject({
        reason: 'ALREADY_CONNECTED',
        message: 'Your account is already connected to your cli!',
      });
      expect(await reasonOf(confirm(login, other.as))).toBe('OWNERSHIP_CONFLICT');
      await poll(login);
    }
    expect((await sessions.listSessions({}, here.as)).sessions).toHaveLength(2);
    expect(await conflictsOf(service)).toEqual([other.user.id, other.user.id]);
  });

  test('is refused to a user while another one is signed in on it', async () => {
    const { service, devices, here, other, begin, poll, confirm, connect } = await prepareLogins(wire);
    const { tokens } = await connect();
    const login = await begin();
    expect(await refusalOf(confirm(login, other.as))).toMatchObject({
      reason: 'OWNERSHIP_CONFLICT',
      message: 'Unable to complete login',
    });
    expect(await conflictsOf(service)).toEqual([other.user.id]);
    expect((await poll(login)).state).toBe(LoginState.PENDING);
    const { auth } = service.clients(wire);
    expect((await auth.getMe({}, bearer(tokens!))).user!.id).toBe(here.user.id);
    await devices.signOutFingerprint({ refreshToken: tokens!.refreshToken, fingerprintId });
    await confirm(login, other.as);
    service.pass(5);
    expect((await poll(login)).user!.id).toBe(other.user.id);
  });

  test.each<[string, (prepared: Prepared, sessionId: string) => Promise<unknown>]>([
    ['the session was revoked', ({ sessions, here }, sessionId) => sessions.revokeSession({ sessionId }, here.as)],
    [
      'its user signed out elsewhere',
      ({ sessions, here }) => sessions.signOut({ scope: SignOutScope.OTHERS }, here.as),
    ],
    [
      'its user was banned',
      ({ service, here }) => service.clients('json').admin.banUser({ userId: here.user.id }, asService),
    ],
    [
      'it expired',
      async ({ service }) => service.database.query(`update sessions set idle_expires_at = now() where kind = 'cli'`),
    ],
  ])('is free once %s', async (_, end) => {
    const prepared = await prepareLogins(wire);
    const { session } = await prepared.connect();
    await end(prepared, session!.id);
    expect((await prepared.connect(prepared.other.as)).user!.id).toBe(prepared.other.user.id);
  });

  test('signs the same user in again without a sign-out, with another session', async () => {
    const { sessions, here, connect } = await prepareLogins(wire);
    const [first, second] = [await connect(), await connect()];
    expect(second.session!.id).not.toBe(first.session!.id);
    expect((await sessions.listSessions({}, here.as)).sessions).toHaveLength(3);
    await sessions.refresh({ refreshToken: first.tokens!.refreshToken });
  });

  test('is signed out by its token and its fingerprint together, and may be again', async () => {
    const { service, devices, here, connect } = await prepareLogins(wire);
    const { tokens } = await connect();
    const { refreshToken } = tokens!;
    const { auth } = service.clients(wire);
    const isAlive = async () => (await auth.getMe({}, bearer(tokens!)).catch(() => undefined)) !== undefined;
    const mixed = [
      { refreshToken, fingerprintId: 'another_machine' },
      { refreshToken: here.tokens.refreshToken, fingerprintId },
      { refreshToken: 'nonsense', fingerprintId },
    ];
    for (const each of mixed) await devices.signOutFingerprint(each);
    expect(await isAlive()).toBe(true);
    expect((await auth.getMe({}, here.as)).user!.id).toBe(here.user.id);
    for (let round = 0; round < 2; round++) await devices.signOutFingerprint({ refreshToken, fingerprintId });
    expect(await isAlive()).toBe(false);
    const logouts = (await actionsOf(service, 'auth.%')).filter((each) => each === 'auth.logout');
    expect(logouts).toHaveLength(1);
  });
});

/** The users who were refused for a conflict. */
async function conflictsOf({ database }: TestService): Promise<string[]> {
  const rows = await database.query<{ user_id: string }>(
    `select user_id from audit_events where action = 'device.conflict' and result = 'FAILURE' order by id`,
  );
  return rows.map(({ user_id }) => user_id);
}
