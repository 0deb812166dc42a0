import { timestampMs } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { CliGuestState } from '../../gen/gatehouse/v1/cli_login_pb.ts';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { SignOutScope } from '../../gen/gatehouse/v1/session_pb.ts';
import { cliLogins, nonce, verified } from '../support/cli-logins.ts';
import { asService } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { type bearer, type Clients, start, wires } from '../support/start.ts';

const { PENDING, APPROVED, DENIED } = LoginState;

type Ending = (clients: Clients, as: ReturnType<typeof bearer>) => Promise<unknown>;
const signOut: Ending = ({ sessions }, as) => sessions.signOut({ scope: SignOutScope.LOCAL }, as);
const deleteMe: Ending = ({ auth }, as) => auth.deleteMe({}, as);
const changePassword: Ending = ({ auth }, as) =>
  auth.changePassword({ currentPassword: verified.password, newPassword: 'another long password' }, as);

describe.each(wires)('over %s', (wire) => {
  test('a poll before the interval is slowed down by five seconds, and polls at the new interval go on', async () => {
    const service = await start({ replicas: 2 });
    const { devices, poll } = cliLogins(service, wire);
    const other = cliLogins(service, wire, 1);
    const { as } = await service.welcome(verified);
    const { pollingCode, loginCode } = await devices.startCliLogin({});
    await poll(pollingCode);
    const early = async (seconds: number, by = poll) => {
      service.pass(seconds);
      return refusalOf(by(pollingCode));
    };
    expect(await early(2, other.poll)).toMatchObject({
      code: Code.ResourceExhausted,
      reason: 'SLOW_DOWN',
      retryAfter: 10,
    });
    expect(await early(2)).toMatchObject({ retryAfter: 15 });
    service.pass(15);
    expect(await poll(pollingCode)).toMatchObject({ state: PENDING });
    expect(await early(5, other.poll)).toMatchObject({ retryAfter: 20 });
    await devices.completeCliLogin({ loginCode }, as);
    expect(await poll(pollingCode)).toMatchObject({ state: APPROVED });
  });

  test.each([
    ['the browser signs out', signOut],
    ['the password is changed', changePassword],
    ['the user is deleted', deleteMe],
  ])('an approval is void when %s before the poll', async (_, end) => {
    const service = await start();
    const { devices, poll } = cliLogins(service, wire);
    const { as } = await service.welcome(verified);
    const { loginCode, pollingCode } = await devices.startCliLogin({});
    await devices.completeCliLogin({ loginCode }, as);
    await end(service.clients(wire), as);
    for (let i = 0; i < 2; i++) {
      const { state, tokens } = await poll(pollingCode, nonce);
      expect({ state, tokens }).toEqual({ state: DENIED, tokens: undefined });
    }
    expect(await service.database.query(`select id from sessions where kind = 'cli'`)).toEqual([]);
  });

  test('the page learns who asks, and looking changes nothing', async () => {
    const service = await start();
    const { devices, poll } = cliLogins(service, wire);
    const headers = { 'user-agent': 'tool/1.2 (linux)' };
    const login = await devices.startCliLogin({ clientName: 'a tool' }, { headers });
    const before = await service.database.checksums();
    for (let i = 0; i < 3; i++) {
      const { guestState, requester } = await devices.checkCliLogin({ loginCode: login.loginCode });
      expect(guestState).toBe(CliGuestState.NONE);
      expect(requester).toMatchObject({
        clientName: 'a tool',
        // The gRPC library sends its own.
        userAgent: wire === 'json' ? 'tool/1.2 (linux)' : expect.stringMatching(/^grpc-node/),
        address: '127.0.0.1',
        comparisonNumber: login.comparisonNumber,
        expireTime: login.expireTime,
      });
      expect(Math.abs(timestampMs(requester!.createTime!) - service.now().getTime())).toBeLessThan(10_000);
    }
    expect(await service.database.checksums()).toEqual(before);
    expect(await poll(login.pollingCode)).toMatchObject({ state: PENDING });
  });

  test('each step leaves one event, which names the login', async () => {
    const service = await start();
    const { devices, poll, startAsGuest, admin } = cliLogins(service, wire);
    const { as, user } = await service.welcome(verified);
    const login = await startAsGuest();
    const { loginCode } = login;
    await devices.claimCliGuest({ loginCode });
    await poll(login.pollingCode);
    await devices.completeCliLogin({ loginCode }, as);
    await poll(login.pollingCode, nonce);
    await poll(login.pollingCode, nonce);
    const denied = await devices.startCliLogin({});
    await devices.denyCliLogin({ loginCode: denied.loginCode }, as);
    const { events } = await admin.listAuditEvents({}, asService);
    const own = events.filter(({ action }) => action.startsWith('device.')).toReversed();
    expect(own.map(({ action, actorId, userId }) => [action, actorId, userId])).toEqual([
      ['device.start', '', ''],
      ['device.claim', login.guest.user.id, login.guest.user.id],
      ['device.approve', user.id, user.id],
      ['device.redeem', user.id, user.id],
      ['device.start', '', ''],
      ['device.deny', user.id, user.id],
    ]);
    expect(own.every(({ entityType }) => entityType === 'login_attempt')).toBe(true);
    expect(new Set(own.map(({ entityId }) => entityId)).size).toBe(2);
  });

  test('an approval is as fresh as the session that gave it, and the budget of an address ends', async () => {
    const service = await start({ env: { LIMITS: '*=off,DeviceService.StartCliLogin=3' } });
    const { devices, poll } = cliLogins(service, wire);
    const { as, session } = await service.welcome(verified);
    const { pollingCode, loginCode } = await devices.startCliLogin({});
    service.pass(600);
    await devices.completeCliLogin({ loginCode }, as);
    const redeemed = await poll(pollingCode);
    expect(redeemed.session!.amr[0]!.time).toEqual(session.amr[0]!.time);
    for (let i = 0; i < 3; i++) await devices.startCliLogin({});
    expect((await refusalOf(devices.startCliLogin({}))).reason).toBe('OVER_REQUEST_RATE_LIMIT');
  });
});
