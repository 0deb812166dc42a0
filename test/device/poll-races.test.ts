// @serializable
import { describe, expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { verified } from '../support/cli-logins.ts';
import { deviceFlow, outcomeOf } from '../support/device-flow.ts';
import { authCodeOf } from '../support/fingerprint-samples.ts';
import { startProxy } from '../support/proxy.ts';
import { crowd, together } from '../support/race.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService, type Wire, wires } from '../support/start.ts';

type Outcome = LoginState | string | undefined;

/** A login that waits, and a poll of it on a replica: the state or the reason of the refusal. */
interface Waiting {
  readonly poll: (replica: number) => Promise<Outcome>;
  readonly waits: Outcome;
}

/** Logins of every kind, one after another. */
async function waitingLogins(service: TestService, wire: Wire, count: number): Promise<Waiting[]> {
  const { as } = await service.welcome(verified);
  const flow = deviceFlow(service, wire);
  const { on } = flow;
  const stateOf = (call: Promise<{ state: LoginState }>) =>
    call.then(
      ({ state }) => state,
      async (error) => (await refusalOf(Promise.reject(error))).reason,
    );
  const starts: (() => Promise<Waiting>)[] = [
    async () => {
      const { pollingCode } = await on().startCliLogin({});
      return { poll: (n) => stateOf(on(n).pollCliLogin({ pollingCode })), waits: LoginState.PENDING };
    },
    async () => {
      const { deviceCode } = await flow.request();
      return { poll: (n) => outcomeOf(flow.poll(deviceCode, '', n)), waits: 'AUTHORIZATION_PENDING' };
    },
    async () => {
      const { pollingCode } = await on().startFingerprintLogin({ fingerprintId: 'a_machine' });
      return { poll: (n) => stateOf(on(n).pollFingerprintLogin({ pollingCode })), waits: LoginState.PENDING };
    },
    async () => {
      const { pollingCode } = await flow.redeem(await flow.create(as, true));
      return { poll: (n) => stateOf(flow.redeemClaimed(pollingCode, n)), waits: LoginState.CLAIMED };
    },
  ];
  // A new dashboard code voids the one before, so there is one of these.
  const logins = [await starts[3]!()];
  for (let n = 1; n < count; n++) logins.push(await starts[n % 3]!());
  return logins;
}

describe.each(wires)('over %s, on two replicas', (wire) => {
  test('parallel polls of many logins are in time, and the next ones are each slowed down', async () => {
    const service = await start({ replicas: 2 });
    const logins = await waitingLogins(service, wire, crowd);
    const round = async (shift: number) =>
      (await together((n) => logins[n]!.poll(n + shift))).answers as readonly Outcome[];
    const expected = logins.map(({ waits }) => waits);
    expect(await round(0)).toEqual(expected);
    expect(await round(1)).toEqual(expected.map(() => 'SLOW_DOWN'));
    service.pass(10);
    expect(await round(0), 'at the new interval').toEqual(expected);
    service.pass(9);
    expect(await round(1), 'each has an interval of its own').toEqual(expected.map(() => 'SLOW_DOWN'));
    const intervals = await service.database.query('select distinct poll_interval as seconds from login_attempts');
    expect(intervals).toEqual([{ seconds: 15 }]);
  });

  test('of parallel polls of one login one is in time, and polls of others beside them are', async () => {
    const service = await start({ replicas: 2 });
    const logins = await waitingLogins(service, wire, 4);
    const { answers } = await together((n) => logins[n % 4]!.poll(n >> 2), 4 * crowd);
    const inTime = logins.map(({ waits }, own) => answers.filter((each, n) => n % 4 === own && each === waits).length);
    expect(inTime).toEqual([1, 1, 1, 1]);
    expect(answers.filter((each) => each === 'SLOW_DOWN')).toHaveLength(4 * (crowd - 1));
    service.pass(60);
    const { answers: later } = await together((n) => logins[n]!.poll(n), 4);
    expect(later).toEqual(logins.map(({ waits }) => waits));
  });

  test('a decision among parallel polls is returned by each of them, and none of them writes', async () => {
    const service = await start({ replicas: 2 });
    const { as } = await service.welcome(verified);
    const { devices } = service.clients(wire);
    const denied = await devices.startFingerprintLogin({ fingerprintId: 'a_machine' });
    await devices.denyFingerprintLogin({ authCode: authCodeOf(denied) }, as);
    const waiting = await devices.startFingerprintLogin({ fingerprintId: 'another_machine' });
    const decided = () => service.database.query(`select xmin, ctid from login_attempts where state = 'denied'`);
    const before = await decided();
    const { answers, errors } = await together((n) => {
      const { pollingCode } = n === 7 % crowd ? waiting : denied;
      return service.clients(wire, n).devices.pollFingerprintLogin({ pollingCode });
    });
    expect(errors).toEqual([]);
    expect(answers.map(({ state }) => state)).toEqual(
      Array.from({ length: crowd }, (_, n) => (n === 7 % crowd ? LoginState.PENDING : LoginState.DENIED)),
    );
    expect(await decided()).toEqual(before);
  });
});

test('polls in parallel share statements, and each login is written once per interval', async () => {
  const proxy = await startProxy();
  const service = await start({ databaseUrl: proxy.url });
  const { devices } = service.clients('grpc');
  const codes: string[] = [];
  for (let n = 0; n < 100; n++) codes.push((await devices.requestDeviceCode({})).deviceCode);
  const before = proxy.statements.length;
  const { answers } = await together((n) => outcomeOf(devices.pollDeviceToken({ deviceCode: codes[n]! })), 100);
  expect(new Set(answers)).toEqual(new Set(['AUTHORIZATION_PENDING']));
  const sent = proxy.statements.slice(before).filter(({ name }) => name.startsWith('login_attempt'));
  expect(sent.length).toBeLessThan(50);
  const [row] = await service.database.query<{ stamped: number }>(
    'select count(polled_at)::int as stamped from login_attempts',
  );
  expect(row!.stamped).toBe(100);
});
