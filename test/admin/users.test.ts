import { describe, expect, test } from 'vitest';
import { mailsTo, tokenFor } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

describe.each(wires)('over %s', (wire) => {
  test('users are listed page by page, each once, without deleted users', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    for (let n = 0; n < 7; n++) await admin.createUser({ email: `user-${n}@example.org` }, asService);
    const { user: gone } = await admin.createUser({ email: 'gone@example.org' }, asService);
    await admin.deleteUser({ userId: gone!.id }, asService);
    const guest = await service.guest();
    const seen: string[] = [];
    for (let pageToken = ''; ; ) {
      const page = await admin.listUsers({ pageSize: 3, pageToken }, asService);
      seen.push(...page.users.map(({ email, id }) => email || id));
      pageToken = page.nextPageToken;
      if (!pageToken) break;
    }
    expect(seen).toEqual([...Array.from({ length: 7 }, (_, n) => `user-${n}@example.org`), guest.user.id]);
  });

  test('users are found by the prefix of their address, by the whole address, and by their ban', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const emails = ['Ada@example.org', 'adam@example.org', 'ad_a@example.org', 'bob@example.org', 'ad%@example.org'];
    for (const email of emails) await admin.createUser({ email }, asService);
    const find = async (request: object) =>
      (await admin.listUsers(request, asService)).users.map(({ email }) => email.toLowerCase()).sort();
    expect(await find({ emailPrefix: 'ADA' })).toEqual(['ada@example.org', 'adam@example.org']);
    expect(await find({ emailPrefix: 'ad_' })).toEqual(['ad_a@example.org']);
    expect(await find({ emailPrefix: 'ad%' })).toEqual(['ad%@example.org']);
    expect(await find({ email: 'ADA@EXAMPLE.ORG' })).toEqual(['ada@example.org']);
    expect(await find({ email: 'ada' })).toEqual([]);
    const { users } = await admin.listUsers({ email: 'bob@example.org' }, asService);
    await admin.banUser({ userId: users[0]!.id, duration: { seconds: 60n } }, asService);
    expect(await find({ banned: true })).toEqual(['bob@example.org']);
    expect(await find({ banned: false })).toHaveLength(4);
    expect(await find({ banned: true, emailPrefix: 'a' })).toEqual([]);
    service.pass(61);
    expect(await find({ banned: true })).toEqual([]);
    const first = await admin.listUsers({ emailPrefix: 'ad', pageSize: 2 }, asService);
    const { nextPageToken: pageToken } = first;
    const second = await admin.listUsers({ emailPrefix: 'ad', pageSize: 2, pageToken }, asService);
    expect(new Set([...first.users, ...second.users].map(({ id }) => id)).size).toBe(4);
    expect(second.nextPageToken).toBe('');
    expect((await refusalOf(admin.listUsers({ emailPrefix: 'a', pageToken }, asService))).reason).toBe(
      'PAGE_TOKEN_INVALID',
    );
  });

  test('an update changes the fields that it names and nothing else, and never a password', async () => {
    const service = await start();
    const { admin, auth } = service.clients(wire);
    const { user, as } = await service.welcome(ada);
    const userId = user.id;
    const update = (request: object) => admin.updateUser({ userId, ...request }, asService);
    expect((await update({ emailVerified: true })).user).toMatchObject({ emailVerified: true, name: 'Ada' });
    expect((await update({ name: '' })).user).toMatchObject({ emailVerified: true, name: '' });
    expect((await update({ email: 'Lovelace@example.org' })).user).toMatchObject({
      email: 'Lovelace@example.org',
      emailVerified: false,
    });
    expect((await update({ email: ' lovelace@EXAMPLE.org'.trim(), emailVerified: true })).user!.emailVerified).toBe(
      true,
    );
    await update({ mustChangePassword: true });
    expect((await auth.getMe({}, as)).user!.mustChangePassword).toBe(true);
    await update({ mustChangePassword: false });
    await service.signIn({ ...ada, email: 'lovelace@example.org' });
    await service.welcome(bob);
    const taken = () => update({ email: bob.email.toUpperCase() });
    expect(await refusalWithoutTrace(service.database, taken)).toMatchObject({
      code: 6,
      reason: 'EMAIL_ALREADY_REGISTERED',
    });
    const { events } = await admin.listAuditEvents({ userId, action: 'user.update' }, asService);
    expect(events).toHaveLength(6);
  });

  test('a change of address is reported to the old address by mail, and links that were sent there are void', async () => {
    const service = await start();
    const { admin, auth } = service.clients(wire);
    const { user } = await service.welcome(ada);
    await auth.requestPasswordReset({ email: ada.email });
    const token = await tokenFor(service, ada.email);
    const subjects = async (email: string) => (await mailsTo(service, email)).map(({ subject }) => subject);
    const before = await subjects(ada.email);
    const move = (email: string) => admin.updateUser({ userId: user.id, email }, asService);
    await service.welcome(bob);
    await refusalWithoutTrace(service.database, () => move(bob.email));
    await move(ada.email.toUpperCase());
    expect(await subjects(ada.email)).toEqual(before);
    expect(await auth.verifyResetToken({ token })).toMatchObject({ valid: true });
    await move('lovelace@example.org');
    expect(await subjects(ada.email)).toEqual([...before, 'Your e-mail address was changed']);
    expect(await subjects('lovelace@example.org')).toEqual([]);
    await move(ada.email);
    expect(await auth.verifyResetToken({ token })).toMatchObject({ valid: false });
  });

  test('a guest gets no address by UpdateUser, and stays a guest', async () => {
    const service = await start();
    const { admin, auth } = service.clients(wire);
    const { user, as } = await service.guest();
    const give = () => admin.updateUser({ userId: user.id, email: ada.email }, asService);
    expect(await refusalWithoutTrace(service.database, give)).toMatchObject({
      code: 9,
      reason: 'REGISTRATION_REQUIRED',
    });
    expect((await auth.getMe({}, as)).user).toMatchObject({ email: '', isAnonymous: true });
    expect((await admin.updateUser({ userId: user.id, name: 'Guest' }, asService)).user!.name).toBe('Guest');
  });

  test('metadata is merged by its top-level keys, is limited in size, and refuses keys that are dangerous to readers', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const { user } = await service.welcome(ada);
    const update = (appMetadata: object) => admin.updateUser({ userId: user.id, appMetadata } as never, asService);
    await update({ plan: 'gold', seats: { used: 1 } });
    expect((await update({ seats: { all: 5 }, plan: null })).appMetadata).toEqual({ seats: { all: 5 } });
    const tooLarge = () => update({ note: 'x'.repeat(5000) });
    expect(await refusalWithoutTrace(service.database, tooLarge)).toMatchObject({ code: 3, fields: ['app_metadata'] });
    const nested = (levels: number): object => (levels === 1 ? {} : { a: nested(levels - 1) });
    expect((await update(nested(32))).appMetadata).toMatchObject(nested(32));
    for (const levels of [33, 200])
      expect((await refusalWithoutTrace(service.database, () => update(nested(levels)))).code).toBe(3);
    expect(await refusalOf(update(nested(33)))).toMatchObject({ reason: 'INVALID_ARGUMENT', fields: ['app_metadata'] });
    for (const key of ['constructor', 'prototype'])
      expect(await refusalOf(update({ list: [{ [key]: 1 }] }))).toMatchObject({ code: 3, fields: ['app_metadata'] });
    // What stands beside a key of protobuf's own is checked as well.
    for (const bell of [{ note: '\u0007' }, { '\u0007': 1 }])
      expect(await refusalOf(update({ nested: { $typeName: 'google.protobuf.Struct', ...bell } }))).toMatchObject({
        code: 3,
        fields: ['app_metadata'],
      });
  });

  test('responses of AdminService hold both metadata of a user, and those of AuthService what the user may write', async () => {
    const service = await start();
    const { admin, auth } = service.clients(wire);
    const { user } = await service.welcome(ada);
    const userId = user.id;
    const metadata = { appMetadata: { plan: 'gold' }, userMetadata: { theme: { dark: true } } };
    expect((await admin.getUser({ userId }, asService)).user).toMatchObject({ appMetadata: {}, userMetadata: {} });
    expect(await admin.updateUser({ userId, ...metadata }, asService)).toMatchObject({ user: metadata, ...metadata });
    const { users } = await admin.listUsers({}, asService);
    const { user: banned } = await admin.banUser({ userId, duration: { seconds: 1n } }, asService);
    const { user: unbanned } = await admin.unbanUser({ userId }, asService);
    const { user: read } = await admin.getUser({ userId }, asService);
    for (const each of [...users, banned, unbanned, read]) expect(each).toMatchObject(metadata);
    const { user: created } = await admin.createUser(bob, asService);
    expect(created).toMatchObject({ appMetadata: {}, userMetadata: {} });
    const { as } = await service.signIn(ada);
    expect([user.appMetadata, user.userMetadata]).toEqual([undefined, undefined]);
    const { user: me } = await auth.getMe({}, as);
    expect([me!.appMetadata, me!.userMetadata]).toEqual([undefined, metadata.userMetadata]);
    const { user: updated } = await auth.updateMe({ userMetadata: { theme: null, size: 9 } } as never, as);
    expect([updated!.appMetadata, updated!.userMetadata]).toEqual([undefined, { size: 9 }]);
    expect((await admin.getUser({ userId }, asService)).user).toMatchObject({ ...metadata, userMetadata: { size: 9 } });
  });

  test('all sessions of a user, or of the project, are revoked at once, and new ones live', async () => {
    const service = await start({ replicas: 2 });
    const { admin, auth, sessions } = service.clients(wire);
    const one = await service.welcome(ada);
    const two = await service.signIn(ada);
    const other = await service.welcome(bob);
    await admin.revokeUserSessions({ whose: { case: 'userId', value: one.user.id } }, asService);
    for (const { as } of [one, two]) expect((await refusalOf(auth.getMe({}, as))).reason).toBe('SESSION_REVOKED');
    await auth.getMe({}, other.as);
    await admin.revokeUserSessions({ whose: { case: 'everybody', value: true } }, asService);
    const { accessToken: token, refreshToken } = other.tokens;
    expect((await refusalOf(service.clients(wire, 1).auth.getMe({}, other.as))).reason).toBe('SESSION_REVOKED');
    expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
    expect((await sessions.introspect({ token }, asService)).active).toBe(false);
    expect((await refusalOf(sessions.getSession({ sessionId: other.session.id }, other.as))).reason).toBe(
      'SESSION_REVOKED',
    );
    service.pass(1);
    const again = await service.signIn(bob);
    await auth.getMe({}, again.as);
    expect((await sessions.listSessions({}, again.as)).sessions).toHaveLength(1);
    const events = await service.database.query(
      `select user_id from audit_events where action like '%revoke_sessions' order by at`,
    );
    expect(events).toEqual([{ user_id: one.user.id }, { user_id: null }]);
  });
});
