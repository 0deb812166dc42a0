import type { JsonObject } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { CliGuestState, GuestDisposition } from '../../gen/gatehouse/v1/cli_login_pb.ts';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { cliLogins, verified } from '../support/cli-logins.ts';
import { mintForProject } from '../support/foreign-tokens.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const { MERGE, KEEP } = GuestDisposition;
const { ANONYMOUS, NONE } = CliGuestState;

describe.each(wires)('over %s', (wire) => {
  test('a login starts with the current refresh token of a live guest only, and does not use it up', async () => {
    const service = await start();
    const { devices, sessions, auth } = cliLogins(service, wire);
    const guest = await service.guest();
    const user = await service.welcome();
    const startWith = (anonRefreshToken: string) => devices.startCliLogin({ anonRefreshToken });
    await startWith(guest.tokens.refreshToken);
    const { tokens } = await sessions.refresh({ refreshToken: guest.tokens.refreshToken });
    const invalid = { code: Code.FailedPrecondition, reason: 'INVALID_ANON_REFRESH_TOKEN' };
    const message = 'Invalid anon refresh token';
    const signedOut = await service.guest();
    await sessions.signOut({ refreshToken: signedOut.tokens.refreshToken });
    for (const token of [
      'nonsense',
      `${tokens!.refreshToken.slice(0, -2)}AA`,
      guest.tokens.accessToken,
      guest.tokens.refreshToken,
      signedOut.tokens.refreshToken,
      mintForProject(service, guest),
    ]) {
      const refusal = await refusalWithoutTrace(service.database, () => startWith(token));
      expect(refusal, token).toMatchObject({ ...invalid, message });
    }
    expect(await refusalOf(startWith(user.tokens.refreshToken))).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'NOT_ANONYMOUS',
      message: expect.stringContaining('does not belong to an anonymous user'),
    });
    await startWith(tokens!.refreshToken);
    const registered = await auth.register({ ...bob }, guest.as);
    expect((await refusalOf(startWith(tokens!.refreshToken))).reason).toBe('INVALID_ANON_REFRESH_TOKEN');
    expect(registered.user!.id).toBe(guest.user.id);
    const old = await service.guest();
    service.pass(8 * 86_400);
    expect(await refusalOf(startWith(old.tokens.refreshToken))).toMatchObject({
      code: Code.FailedPrecondition,
      reason: 'ANON_REFRESH_TOKEN_EXPIRED',
      message: 'The provided anon refresh token has expired',
    });
  });

  test('the browser claims the guest once, with tokens of its own, and the login goes on', async () => {
    const service = await start();
    const { devices, startAsGuest, poll, pollLater, sessions, auth } = cliLogins(service, wire);
    const { guest, loginCode, pollingCode } = await startAsGuest();
    const before = await service.database.checksums();
    for (let i = 0; i < 2; i++) expect((await devices.checkCliLogin({ loginCode })).guestState).toBe(ANONYMOUS);
    expect(await service.database.checksums()).toEqual(before);
    const { tokens, user, session } = await devices.claimCliGuest({ loginCode });
    expect(decodeJwt(tokens!.accessToken)).toMatchObject({ sub: guest.user.id, is_anonymous: true });
    expect(user).toMatchObject({ id: guest.user.id, isAnonymous: true });
    expect(session!.id).not.toBe(guest.session.id);
    const refreshed = await sessions.refresh({ refreshToken: tokens!.refreshToken });
    expect((await auth.getMe({}, bearer(refreshed.tokens!))).user!.id).toBe(guest.user.id);
    await auth.getMe({}, guest.as);
    const none = { code: Code.FailedPrecondition, reason: 'NO_ANONYMOUS_SESSION' };
    const message = 'No anonymous session associated with this code';
    expect(await refusalOf(devices.claimCliGuest({ loginCode }))).toMatchObject({ ...none, message });
    expect((await devices.checkCliLogin({ loginCode })).guestState).toBe(NONE);
    expect(await poll(pollingCode)).toMatchObject({ state: LoginState.CLAIMED });
    const { as } = await service.welcome(verified);
    expect(await devices.completeCliLogin({ loginCode }, as)).toMatchObject({ guestMerged: false });
    expect((await pollLater(pollingCode)).user).toMatchObject({ email: ada.email });
    const without = await devices.startCliLogin({});
    expect(await refusalOf(devices.claimCliGuest(codeOf(without)))).toMatchObject({ ...none, message });
  });

  test('a guest who is claimed and registers keeps the id, and completes the login without a verified address', async () => {
    const service = await start({ env: { AUTO_CONFIRM_EMAIL: 'off' } });
    const { devices, startAsGuest, poll, auth } = cliLogins(service, wire);
    const { guest, loginCode, pollingCode } = await startAsGuest();
    const claimed = await devices.claimCliGuest({ loginCode });
    const { tokens } = await auth.register(ada, bearer(claimed.tokens!));
    await devices.completeCliLogin({ loginCode }, bearer(tokens!));
    const redeemed = await poll(pollingCode);
    expect(redeemed.user).toMatchObject({ id: guest.user.id, isAnonymous: false, email: ada.email });
    expect(decodeJwt(redeemed.tokens!.accessToken)).toMatchObject({ sub: guest.user.id, is_anonymous: false });
  });

  test('a guest completes the login of the program that is signed in as the same guest', async () => {
    const service = await start();
    const { devices, startAsGuest, poll } = cliLogins(service, wire);
    const { guest, loginCode, pollingCode } = await startAsGuest();
    const stranger = await service.guest();
    expect((await refusalOf(devices.completeCliLogin({ loginCode }, stranger.as))).reason).toBe('GUEST_NOT_ALLOWED');
    await devices.completeCliLogin({ loginCode }, guest.as);
    expect((await poll(pollingCode)).user).toMatchObject({ id: guest.user.id, isAnonymous: true });
  });

  test('a guest who has registered by another path, or signed out, is no guest of the login', async () => {
    const service = await start({ env: { AUTO_CONFIRM_EMAIL: 'on' } });
    const { devices, startAsGuest, poll, auth, sessions } = cliLogins(service, wire);
    const first = await startAsGuest();
    const { tokens } = await auth.register(ada, first.guest.as);
    const second = await startAsGuest();
    await sessions.signOut({ refreshToken: second.guest.tokens.refreshToken });
    for (const login of [first, second]) {
      expect((await devices.checkCliLogin(codeOf(login))).guestState).toBe(NONE);
      expect((await refusalOf(devices.claimCliGuest(codeOf(login)))).reason).toBe('NO_ANONYMOUS_SESSION');
    }
    const own = await devices.completeCliLogin({ ...codeOf(first), guestDisposition: MERGE }, bearer(tokens!));
    expect(own.guestMerged).toBe(false);
    expect((await poll(first.pollingCode)).user!.id).toBe(first.guest.user.id);
    const { as } = await service.welcome({ ...bob, emailVerified: true });
    const other = await devices.completeCliLogin({ ...codeOf(second), guestDisposition: MERGE }, as);
    expect(other.guestMerged).toBe(false);
  });

  test.each([
    ['no disposition', undefined, {}],
    ['MERGE', MERGE, { ANONYMOUS_MERGE_DEFAULT: 'keep' }],
  ])('with %s a guest is merged into another user, and deleted with all credentials', async (_, disposition, env) => {
    const service = await start({ env });
    const { devices, startAsGuest, poll, auth, sessions, admin } = cliLogins(service, wire);
    const [empty, full] = [await startAsGuest(), await startAsGuest()];
    const metadata = { userMetadata: { theme: 'dark' }, appMetadata: { plan: 'free' } };
    for (const { guest } of [empty, full]) await admin.updateUser({ userId: guest.user.id, ...metadata }, asService);
    const { user, as } = await service.welcome(verified);
    const complete = (login: typeof full, guestDisposition = disposition) =>
      devices.completeCliLogin({ ...codeOf(login), ...(guestDisposition && { guestDisposition }) }, as);
    expect(await complete(empty)).toMatchObject({ guestMerged: true });
    const readBack = async (): Promise<JsonObject[]> => {
      const read = await admin.getUser({ userId: user.id }, asService);
      return [read.user!.userMetadata!, read.user!.appMetadata!];
    };
    expect(await readBack(), 'what the user had none of').toEqual([{ theme: 'dark' }, { plan: 'free' }]);
    const own = { userMetadata: { theme: 'light' }, appMetadata: { plan: 'team' } };
    await admin.updateUser({ userId: user.id, ...own }, asService);
    expect(await complete(full)).toMatchObject({ guestMerged: true });
    expect(await readBack(), 'never what the user had').toEqual([{ theme: 'light' }, { plan: 'team' }]);
    for (const { guest } of [empty, full]) {
      expect((await refusalOf(admin.getUser({ userId: guest.user.id }, asService))).code).toBe(Code.NotFound);
      expect((await refusalOf(auth.getMe({}, guest.as))).reason).toBe('SESSION_REVOKED');
      const { refreshToken } = guest.tokens;
      expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
    }
    const listed = await sessions.listSessions({}, as);
    expect(listed.sessions, 'no session of a guest').toHaveLength(1);
    expect((await poll(full.pollingCode)).user!.id).toBe(user.id);
    const { events } = await admin.listAuditEvents({ action: 'user.merge' }, asService);
    expect(events.map(({ actorId, userId }) => [actorId, userId])).toEqual([
      [user.id, full.guest.user.id],
      [user.id, empty.guest.user.id],
    ]);
  });

  test.each([
    ['KEEP', KEEP, {}],
    ['no disposition and ANONYMOUS_MERGE_DEFAULT=keep', undefined, { ANONYMOUS_MERGE_DEFAULT: 'keep' }],
  ])('with %s the guest stays as they are', async (_, guestDisposition, env) => {
    const service = await start({ env });
    const { devices, startAsGuest, poll, sessions, admin } = cliLogins(service, wire);
    const login = await startAsGuest();
    await admin.updateUser({ userId: login.guest.user.id, userMetadata: { theme: 'dark' } }, asService);
    const { user, as } = await service.welcome(verified);
    const complete = { ...codeOf(login), ...(guestDisposition && { guestDisposition }) };
    expect(await devices.completeCliLogin(complete, as)).toMatchObject({ guestMerged: false });
    expect((await poll(login.pollingCode)).user!.id).toBe(user.id);
    const { tokens } = await sessions.refresh({ refreshToken: login.guest.tokens.refreshToken });
    expect(decodeJwt(tokens!.accessToken)).toMatchObject({ sub: login.guest.user.id, is_anonymous: true });
    const read = await admin.getUser({ userId: user.id }, asService);
    expect(read.user!.userMetadata).toEqual({});
  });

  test('a guest with a credential is not merged, and the refusal changes nothing', async () => {
    const service = await start({ skipChecks: ['orphans'] });
    const { devices, startAsGuest, poll } = cliLogins(service, wire);
    const login = await startAsGuest();
    const { as } = await service.welcome(verified);
    const id = [login.guest.user.id];
    for (const set of [`email = 'x@example.org'`, `password_hash = '*'`, `system_role = 'operator'`]) {
      await service.database.query(`update users set ${set} where id = $1`, id);
      const complete = () => devices.completeCliLogin({ ...codeOf(login), guestDisposition: MERGE }, as);
      const refusal = await refusalWithoutTrace(service.database, complete);
      expect(refusal, set).toMatchObject({ code: Code.FailedPrecondition, reason: 'GUEST_NOT_MERGEABLE' });
      await service.database.query(
        `update users set email = null, password_hash = null, system_role = 'engineer' where id = $1`,
        id,
      );
    }
    expect(await poll(login.pollingCode)).toMatchObject({ state: LoginState.PENDING });
    await devices.completeCliLogin({ ...codeOf(login), guestDisposition: KEEP }, as);
  });
});

function codeOf({ loginCode }: { loginCode: string }) {
  return { loginCode };
}
