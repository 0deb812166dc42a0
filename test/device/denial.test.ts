import { describe, expect, onTestFinished, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { verified } from '../support/cli-logins.ts';
import { deviceFlow, outcomeOf } from '../support/device-flow.ts';
import { authCodeOf } from '../support/fingerprint-samples.ts';
import { follow } from '../support/login-streams.ts';
import { type bearer, start, type TestService, type Wire, wires } from '../support/start.ts';

const { APPROVED, CLAIMED, DENIED, PENDING, USED } = LoginState;

type As = ReturnType<typeof bearer>;

/** A login that waits: what its device has, and the decisions of its user. */
interface Waiting {
  readonly secret: string;
  readonly poll: () => Promise<unknown>;
  readonly approve: () => Promise<unknown>;
  readonly deny: () => Promise<unknown>;
}

type Begin = (service: TestService, wire: Wire, as: As) => Promise<Waiting>;

/** Polls on one replica, and decides on the other. */
const kinds: Readonly<Record<string, Begin>> = {
  async 'a user code'(service, wire, as) {
    const { request, approve, deny, poll } = deviceFlow(service, wire);
    const { deviceCode, userCode } = await request();
    return {
      secret: deviceCode,
      poll: () => outcomeOf(poll(deviceCode)),
      approve: () => approve(userCode, as, 1),
      deny: () => deny(userCode, as, 1),
    };
  },
  async 'a login of a command line tool'(service, wire, as) {
    const [here, there] = [service.clients(wire).devices, service.clients(wire, 1).devices];
    const { loginCode, pollingCode } = await here.startCliLogin({});
    return {
      secret: pollingCode,
      poll: async () => (await here.pollCliLogin({ pollingCode })).state,
      approve: () => there.completeCliLogin({ loginCode }, as),
      deny: () => there.denyCliLogin({ loginCode }, as),
    };
  },
  async 'a fingerprint'(service, wire, as) {
    const [here, there] = [service.clients(wire).devices, service.clients(wire, 1).devices];
    const login = await here.startFingerprintLogin({ fingerprintId: 'a_machine' });
    const { pollingCode } = login;
    return {
      secret: pollingCode,
      poll: async () => (await here.pollFingerprintLogin({ pollingCode })).state,
      approve: () => there.confirmFingerprintLogin({ authCode: authCodeOf(login) }, as),
      deny: () => there.denyFingerprintLogin({ authCode: authCodeOf(login) }, as),
    };
  },
  async 'a short dashboard code'(service, wire, as) {
    const { on, create, redeem, redeemClaimed } = deviceFlow(service, wire);
    const cliCode = await create(as, true);
    const { pollingCode } = await redeem(cliCode);
    return {
      secret: pollingCode,
      poll: () =>
        redeemClaimed(pollingCode).then(
          ({ state }) => state,
          (error) => outcomeOf(Promise.reject(error)),
        ),
      approve: () => on(1).approveDashboardCode({ cliCode }, as),
      deny: () => on(1).denyDashboardCode({ cliCode }, as),
    };
  },
};

/** What a poll returns before the decision, after a denial, and after the redemption. */
const polled: Readonly<Record<string, readonly [unknown, unknown, unknown]>> = {
  'a user code': ['AUTHORIZATION_PENDING', 'ACCESS_DENIED', 'INVALID_DEVICE_CODE'],
  'a login of a command line tool': [PENDING, DENIED, USED],
  'a fingerprint': [PENDING, DENIED, USED],
  'a short dashboard code': [CLAIMED, 'ACCESS_DENIED', 'CLI_CODE_USED'],
};

describe.each(wires)('over %s, on two replicas', (wire) => {
  describe.each(Object.keys(kinds))('the device of %s', (name) => {
    const [waits, denied, used] = polled[name]!;

    async function prepare() {
      const service = await start({ replicas: 2 });
      const { as } = await service.welcome(verified);
      const login = await kinds[name]!(service, wire, as);
      const leaving = new AbortController();
      onTestFinished(() => leaving.abort());
      const options = { signal: leaving.signal };
      const stream = follow(service.clients(wire).devices.awaitLogin({ pollingSecret: login.secret }, options));
      await stream.saw(1);
      expect(await login.poll()).toBe(waits);
      return { service, login, stream };
    }

    test('learns of a denial by the next poll and by its stream, finally', async () => {
      const { service, login, stream } = await prepare();
      await login.deny();
      const deniedAt = performance.now();
      expect([await login.poll(), await login.poll()], 'without a wait for the interval').toEqual([denied, denied]);
      await stream.ended;
      expect(stream.arrivals.at(-1)! - deniedAt).toBeLessThan(2000);
      expect(stream.states).toEqual([typeof waits === 'number' ? waits : PENDING, DENIED]);
      expect(await outcomeOf(login.approve())).not.toBe('OK');
      service.pass(8000);
      expect(await login.poll(), 'also after its time').toBe(denied);
      const minted = `select id from api_keys union all select id from sessions where kind in ('cli', 'device')`;
      expect(await service.database.query(minted)).toEqual([]);
    });

    test('learns of an approval the same way, and a denial after it changes nothing', async () => {
      const { login, stream } = await prepare();
      await login.approve();
      await stream.ended;
      expect(stream.states.at(-1)).toBe(APPROVED);
      expect([APPROVED, 'OK']).toContain(await login.poll());
      expect(await outcomeOf(login.deny())).not.toBe('OK');
      expect(await login.poll()).toBe(used);
    });
  });
});
