import { expect, test } from 'vitest';
import { DeviceCredential } from '../../gen/gatehouse/v1/device_grant_pb.ts';
import { createDatabase } from '../support/database.ts';
import { outcomeOf } from '../support/device-flow.ts';
import { asService, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { bearer, type Clients, wires } from '../support/start.ts';

const { MASTER_KEYS } = testEnv;
const ada = { email: 'ada@example.org', password: 'a difference engine', emailVerified: true };
const pairs = 10;

/** Two clients for each of the approved logins, with nonces of their own. */
async function approvedLogins({ auth, admin, devices }: Clients) {
  await admin.createUser(ada, asService);
  const as = bearer((await auth.signIn(ada)).tokens!);
  const logins: { deviceCode: string; clientNonce: string }[] = [];
  for (let n = 0; n < pairs; n++) {
    const credential = n % 2 ? DeviceCredential.API_KEY : DeviceCredential.SESSION;
    const { deviceCode, userCode } = await devices.requestDeviceCode({ credential });
    await devices.approveDevice({ userCode }, as);
    for (const letter of 'ab') logins.push({ deviceCode, clientNonce: letter.repeat(22) });
  }
  return { as, logins };
}

test.each(wires)(
  'over %s a replica that is killed during redemptions loses none and doubles none',
  { timeout: 60_000 },
  async (wire) => {
    const { url } = await createDatabase();
    const env = { MASTER_KEYS, DATABASE_URL: url, LIMITS: '*=off' };
    const [stays, dies] = await Promise.all([serve(env), serve(env)]);
    const { devices } = stays.clients[wire];
    const { as, logins } = await approvedLogins(stays.clients[wire]);
    let settled = 0;
    const racing = Promise.all(
      logins.map(async (login, n) => {
        await outcomeOf((n % 2 ? stays : dies).clients[wire].devices.pollDeviceToken(login));
        if (++settled === 3) dies.kill('SIGKILL');
      }),
    );
    await racing;
    await dies.ended;
    const outcomes: string[] = [];
    for (const login of logins) outcomes.push(await outcomeOf(devices.pollDeviceToken(login)));
    for (let n = 0; n < pairs; n++)
      expect(outcomes.slice(2 * n, 2 * n + 2).sort(), `login ${n}`).toEqual(['INVALID_DEVICE_CODE', 'OK']);
    expect((await devices.listDevices({ pageSize: 100 }, as)).devices).toHaveLength(pairs);
  },
);
