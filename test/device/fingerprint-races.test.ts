// @serializable
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { authCodeOf } from '../support/fingerprint-samples.ts';
import { ada, bob } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

const fingerprintId = 'the_machine-of-ada';

/** A client of a replica, each call of another one and over another transport. */
const devicesOf = (service: TestService, index: number) => service.clients(wires[index % 2]!, index >> 1).devices;

async function crowdOfUsers(service: TestService) {
  const everybody = [];
  for (let i = 0; i < crowd; i++) {
    const person = { email: `user-${i}@example.org`, password: ada.password, emailVerified: true };
    everybody.push(await service.welcome(person));
  }
  return everybody;
}

const cliSessions = ({ database }: TestService) =>
  database.query<{ user_id: string }>(`select user_id from sessions where kind = 'cli' and revoked_at is null`);

test('of parallel polls over two replicas one receives tokens', async () => {
  const barrier = new Barrier('PollFingerprintLogin');
  const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
  const { as } = await service.welcome({ ...ada, emailVerified: true });
  const login = await devicesOf(service, 0).startFingerprintLogin({ fingerprintId });
  await devicesOf(service, 0).confirmFingerprintLogin({ authCode: authCodeOf(login) }, as);
  barrier.expect(crowd);
  const { answers, errors } = await together((index) =>
    devicesOf(service, index).pollFingerprintLogin({
      pollingCode: login.pollingCode,
      clientNonce: randomUUID().replaceAll('-', ''),
    }),
  );
  expect(errors).toEqual([]);
  const states = answers.map(({ state }) => state).sort();
  expect(states).toEqual([LoginState.APPROVED, ...Array(crowd - 1).fill(LoginState.USED)]);
  expect(answers.filter(({ tokens }) => tokens)).toHaveLength(1);
  expect(await cliSessions(service)).toHaveLength(1);
});

test('of users who confirm the same login over two replicas one succeeds', async () => {
  const barrier = new Barrier('ConfirmFingerprintLogin');
  const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
  const users = await crowdOfUsers(service);
  const login = await devicesOf(service, 0).startFingerprintLogin({ fingerprintId });
  barrier.expect(crowd);
  const won: string[] = [];
  const { answers, errors } = await together(async (index) => {
    await devicesOf(service, index).confirmFingerprintLogin({ authCode: authCodeOf(login) }, users[index]!.as);
    won.push(users[index]!.user.id);
  });
  expect(answers).toHaveLength(1);
  for (const each of errors) expect((await refusalOf(Promise.reject(each))).reason).toBe('OWNERSHIP_CONFLICT');
  const { user } = await devicesOf(service, 0).pollFingerprintLogin({ pollingCode: login.pollingCode });
  expect([user!.id]).toEqual(won);
});

test('of logins of several users that were confirmed for one machine, one receives a session', async () => {
  const barrier = new Barrier('PollFingerprintLogin');
  const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
  const users = await crowdOfUsers(service);
  const logins: { loginUrl: string; pollingCode: string }[] = [];
  for (const { as } of users) {
    const login = await devicesOf(service, 0).startFingerprintLogin({ fingerprintId });
    await devicesOf(service, 0).confirmFingerprintLogin({ authCode: authCodeOf(login) }, as);
    logins.push(login);
  }
  barrier.expect(crowd);
  const poll = (index: number) =>
    devicesOf(service, index).pollFingerprintLogin({ pollingCode: logins[index]!.pollingCode });
  const { answers, errors } = await together(poll);
  expect(answers).toHaveLength(1);
  for (const each of errors) expect((await refusalOf(Promise.reject(each))).reason).toBe('OWNERSHIP_CONFLICT');
  expect(await cliSessions(service)).toEqual([{ user_id: answers[0]!.user!.id }]);
  const [conflicts] = await service.database.query<{ count: number }>(
    `select count(*)::int as count from audit_events where action = 'device.conflict'`,
  );
  expect(conflicts!.count).toBe(crowd - 1);
  const loser = users.findIndex(({ user }) => user.id !== answers[0]!.user!.id);
  expect((await poll(loser)).state, 'the login is over').toBe(LoginState.DENIED);
});

test('of a confirmation and a denial over two replicas one is kept', async () => {
  const service = await start({ replicas: 2 });
  const here = await service.welcome({ ...ada, emailVerified: true });
  const there = await service.welcome({ ...bob, emailVerified: true });
  for (let round = 0; round < 5; round++) {
    const login = await devicesOf(service, 0).startFingerprintLogin({ fingerprintId: `machine-${round}` });
    const authCode = authCodeOf(login);
    const { answers } = await together(async (index) => {
      if (index === 0) await devicesOf(service, 2).confirmFingerprintLogin({ authCode }, here.as);
      else await devicesOf(service, 1).denyFingerprintLogin({ authCode }, there.as);
      return index === 0 ? LoginState.APPROVED : LoginState.DENIED;
    }, 2);
    const { state } = await devicesOf(service, 0).pollFingerprintLogin({ pollingCode: login.pollingCode });
    expect([state]).toEqual(answers);
  }
});
