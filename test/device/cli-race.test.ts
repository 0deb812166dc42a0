// @serializable
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { GuestDisposition } from '../../gen/gatehouse/v1/cli_login_pb.ts';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { cliLogins, nonce, verified } from '../support/cli-logins.ts';
import { asService } from '../support/people.ts';
import { Barrier, crowd, Pause, together } from '../support/race.ts';
import { reasonOf, refusalOf } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

const { APPROVED, DENIED, USED } = LoginState;

/** Two replicas, with a barrier before the first write of a method. */
async function prepare(method: string) {
  const barrier = new Barrier(method);
  const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
  return { barrier, service };
}

/** So many signed-in users. */
async function people(service: TestService) {
  const all = [];
  for (let i = 0; i < crowd; i++) all.push(await service.welcome({ ...verified, email: `person-${i}@example.org` }));
  return all;
}

describe.each(wires)('over %s', (wire) => {
  test('of parallel completions by several users one succeeds, and the program signs in as that user', async () => {
    const { barrier, service } = await prepare('CompleteCliLogin');
    const { startAsGuest, poll } = cliLogins(service, wire);
    const users = await people(service);
    const { loginCode, pollingCode, guest } = await startAsGuest();
    barrier.expect(crowd);
    const { answers, errors } = await together(async (index) => {
      const { devices } = service.clients(wire, index);
      await devices.completeCliLogin({ loginCode }, users[index]!.as);
      return users[index]!.user.id;
    });
    expect(answers).toHaveLength(1);
    expect(new Set(errors.map(reasonOf))).toEqual(new Set(['INVALID_LOGIN_CODE']));
    expect((await poll(pollingCode)).user!.id).toBe(answers[0]);
    const { admin } = service.clients(wire);
    const { events } = await admin.listAuditEvents({ action: 'user.merge' }, asService);
    expect(events.map(({ actorId, userId }) => [actorId, userId])).toEqual([[answers[0], guest.user.id]]);
  });

  test('of parallel polls with other nonces one has the tokens, and with one nonce all have the same', async () => {
    const { barrier, service } = await prepare('PollCliLogin');
    const { devices } = cliLogins(service, wire);
    const { as } = await service.welcome(verified);
    for (const isSame of [false, true]) {
      const { loginCode, pollingCode } = await devices.startCliLogin({});
      await devices.completeCliLogin({ loginCode }, as);
      barrier.expect(crowd);
      const { answers, errors } = await together((index) => {
        const clientNonce = isSame ? nonce : `${nonce}${index}`;
        return service.clients(wire, index).devices.pollCliLogin({ pollingCode, clientNonce });
      });
      expect(errors).toEqual([]);
      const states = answers.map(({ state }) => state).sort();
      const others = Array<LoginState>(crowd - 1).fill(isSame ? APPROVED : USED);
      expect(states).toEqual([APPROVED, ...others]);
      const tokens = answers.flatMap(({ tokens }) => tokens?.refreshToken ?? []);
      expect(new Set(tokens).size).toBe(1);
      await service.clients(wire, 1).sessions.refresh({ refreshToken: tokens[0]! });
    }
    const sessions = await service.database.query(`select id from sessions where kind = 'cli'`);
    expect(sessions).toHaveLength(2);
  });

  test('of parallel claims one succeeds', async () => {
    const { barrier, service } = await prepare('ClaimCliGuest');
    const { startAsGuest } = cliLogins(service, wire);
    const { loginCode, guest } = await startAsGuest();
    barrier.expect(crowd);
    const { answers, errors } = await together((index) =>
      service.clients(wire, index).devices.claimCliGuest({ loginCode }),
    );
    expect(answers.map(({ user }) => user!.id)).toEqual([guest.user.id]);
    expect(new Set(errors.map(reasonOf))).toEqual(new Set(['NO_ANONYMOUS_SESSION']));
    const rows = await service.database.query('select id from sessions where user_id = $1', [guest.user.id]);
    expect(rows).toHaveLength(2);
  });

  test('a guest of several logins is merged once, into one of the users who complete them', async () => {
    const { barrier, service } = await prepare('CompleteCliLogin');
    const { devices } = cliLogins(service, wire);
    const users = await people(service);
    const guest = await service.guest();
    await service.clients(wire).admin.updateUser({ userId: guest.user.id, userMetadata: { from: 'guest' } }, asService);
    const logins: { loginCode: string }[] = [];
    for (let i = 0; i < crowd; i++)
      logins.push(await devices.startCliLogin({ anonRefreshToken: guest.tokens.refreshToken }));
    barrier.expect(crowd);
    const { answers, errors } = await together((index) => {
      const { loginCode } = logins[index]!;
      const request = { loginCode, guestDisposition: GuestDisposition.MERGE };
      return service.clients(wire, index).devices.completeCliLogin(request, users[index]!.as);
    });
    expect(errors).toEqual([]);
    expect(answers.filter(({ guestMerged }) => guestMerged)).toHaveLength(1);
    const taken = await service.database.query(
      `select id from users where user_metadata = '{"from": "guest"}' and deleted_at is null`,
    );
    expect(taken).toHaveLength(1);
  });

  test('a guest either registers or is merged', async () => {
    const service = await start({ replicas: 2 });
    const { startAsGuest, admin } = cliLogins(service, wire);
    const { as } = await service.welcome(verified);
    for (let round = 0; round < crowd; round++) {
      const { loginCode, guest } = await startAsGuest();
      const request = { loginCode, guestDisposition: GuestDisposition.MERGE };
      const registration = { email: `guest-${round}@example.org`, password: verified.password };
      const [completed, registered] = await Promise.allSettled([
        service.clients(wire, 0).devices.completeCliLogin(request, as),
        service.clients(wire, 1).auth.register(registration, guest.as),
      ]);
      expect(completed.status).toBe('fulfilled');
      const isMerged = completed.status === 'fulfilled' && completed.value.guestMerged;
      expect(registered.status).toBe(isMerged ? 'rejected' : 'fulfilled');
      const found = admin.getUser({ userId: guest.user.id }, asService);
      expect(await found.then(({ user }) => user!.isAnonymous, reasonOf)).toBe(isMerged ? 'USER_NOT_FOUND' : false);
    }
  });

  test.each([
    ['a ban', (service: TestService, userId: string) => service.clients(wire).admin.banUser({ userId }, asService)],
    [
      'a revocation of all sessions',
      (service: TestService, value: string) =>
        service.clients(wire).admin.revokeUserSessions({ whose: { case: 'userId', value } }, asService),
    ],
    [
      'a revocation of everybody',
      (service: TestService) =>
        service.clients(wire).admin.revokeUserSessions({ whose: { case: 'everybody', value: true } }, asService),
    ],
  ])('%s between the approval and the redemption wins, whatever waits for what', async (_, end) => {
    const pause = new Pause('PollCliLogin');
    const service = await start({ replicas: 2, inner: [pause.interceptor()] });
    const { devices } = cliLogins(service, wire);
    const { as, user } = await service.welcome(verified);
    const { loginCode, pollingCode } = await devices.startCliLogin({});
    await devices.completeCliLogin({ loginCode }, as);
    const read = pause.next();
    const polling = service.clients(wire, 1).devices.pollCliLogin({ pollingCode, clientNonce: nonce });
    await read;
    await end(service, user.id);
    pause.resume();
    expect(await polling).toMatchObject({ state: DENIED });
    expect(await devices.pollCliLogin({ pollingCode, clientNonce: nonce })).toMatchObject({ state: DENIED });
    expect(await service.database.query(`select id from sessions where kind = 'cli'`)).toEqual([]);
  });

  test('a ban that waits for a redemption revokes what it minted', async () => {
    const pause = new Pause('PollCliLogin', 'commit');
    const service = await start({ replicas: 2, inner: [pause.interceptor()] });
    const { devices, admin, sessions } = cliLogins(service, wire);
    const { as, user } = await service.welcome(verified);
    const { loginCode, pollingCode } = await devices.startCliLogin({});
    await devices.completeCliLogin({ loginCode }, as);
    const written = pause.next();
    const polling = service.clients(wire, 1).devices.pollCliLogin({ pollingCode, clientNonce: nonce });
    await written;
    const banning = admin.banUser({ userId: user.id }, asService);
    await service.database.blocked(1);
    pause.resume();
    const { tokens } = await polling;
    await banning;
    expect(decodeJwt(tokens!.accessToken).sub).toBe(user.id);
    const { refreshToken } = tokens!;
    expect((await refusalOf(sessions.refresh({ refreshToken }))).reason).toBe('SESSION_REVOKED');
    expect(await devices.pollCliLogin({ pollingCode, clientNonce: nonce })).toMatchObject({ state: USED });
  });
});
