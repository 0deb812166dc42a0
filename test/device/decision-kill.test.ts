// @serializable
import { expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { verified } from '../support/cli-logins.ts';
import { createDatabase } from '../support/database.ts';
import { outcomeOf } from '../support/device-flow.ts';
import { authCodeOf } from '../support/fingerprint-samples.ts';
import { asService, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { crowd, together } from '../support/race.ts';
import { bearer, type Clients, wires } from '../support/start.ts';

type Devices = Clients['devices'];
type As = ReturnType<typeof bearer>;

async function users({ admin, auth }: Clients, count: number): Promise<{ id: string; as: As }[]> {
  const all: { id: string; as: As }[] = [];
  for (let n = 0; n < count; n++) {
    const person = { ...verified, email: `person-${n}@example.org` };
    const { user } = await admin.createUser(person, asService);
    all.push({ id: user!.id, as: bearer((await auth.signIn(person)).tokens!) });
  }
  return all;
}

/** Settled calls. */
const killAfter = 10;

const nonceOf = (n: number) => `${n}`.padStart(32, 'n');
const redemption = (value: string, n: number) => ({
  proof: { case: 'cliCode' as const, value },
  clientNonce: nonceOf(n),
});

/** One login of each flow that waits for its decision, and a long dashboard code that waits for its redemption. */
async function beginLogins(devices: Devices, [first, second]: { as: As }[]) {
  const device = await devices.requestDeviceCode({});
  const machine = await devices.startFingerprintLogin({ fingerprintId: 'a_machine' });
  const { cliCode: short } = await devices.createDashboardCode({ isShort: true }, first!.as);
  const claimed = await devices.redeemDashboardCode(redemption(short, 0));
  const { cliCode: long } = await devices.createDashboardCode({}, second!.as);
  return { device, machine, short, claimed, long };
}

test.each(wires)(
  'over %s a replica that is killed during parallel decisions and redemptions leaves one of each',
  { timeout: 90_000 },
  async (wire) => {
    const database = await createDatabase();
    const env = { DATABASE_URL: database.url, MASTER_KEYS: testEnv.MASTER_KEYS, LIMITS: '*=off' };
    const [kept, killed] = [await serve(env), await serve(env)];
    const { devices } = kept.clients[wire];
    const everybody = await users(kept.clients[wire], crowd);
    const { device, machine, short, claimed, long } = await beginLogins(devices, everybody);
    const decisions: ((on: Devices, n: number) => Promise<unknown>)[] = [
      (on, n) => on.approveDevice({ userCode: device.userCode }, everybody[n]!.as),
      (on, n) => on.confirmFingerprintLogin({ authCode: authCodeOf(machine) }, everybody[n]!.as),
      (on) => on.approveDashboardCode({ cliCode: short }, everybody[0]!.as),
      (on, n) => on.redeemDashboardCode(redemption(long, n)),
    ];
    let settled = 0;
    await together(async (n) => {
      const index = Math.floor(n / decisions.length);
      const { devices: on } = (index % 2 ? killed : kept).clients[wire];
      await outcomeOf(decisions[n % decisions.length]!(on, index));
      if (++settled === killAfter) killed.kill('SIGKILL');
    }, crowd * decisions.length);
    await killed.ended;
    // What the kill has prevented is done now, and everything else is refused.
    for (const decide of decisions.slice(0, 3)) await outcomeOf(decide(devices, 0));
    const keys: string[] = [];
    for (let n = 0; n < crowd; n++)
      keys.push(
        await devices.redeemDashboardCode(redemption(long, n)).then(
          ({ apiKey }) => apiKey,
          () => '',
        ),
      );
    expect(keys.filter(Boolean), 'for one nonce').toHaveLength(1);
    const polled = await devices.pollDeviceToken({ deviceCode: device.deviceCode });
    const connected = await devices.pollFingerprintLogin({ pollingCode: machine.pollingCode });
    const proof = { case: 'pollingCode' as const, value: claimed.pollingCode };
    const confirmed = await devices.redeemDashboardCode({ proof });
    expect([connected.state, confirmed.state]).toEqual([LoginState.APPROVED, LoginState.APPROVED]);
    expect(confirmed.user!.id).toBe(everybody[0]!.id);
    const actors = async (action: string) =>
      (
        await database.query<{ actor_id: string | null }>('select actor_id from audit_events where action = $1', [
          action,
        ])
      ).map(({ actor_id }) => actor_id);
    expect((await actors('device.approve')).sort()).toEqual(
      [polled.user!.id, connected.user!.id, confirmed.user!.id].sort(),
    );
    expect(await actors('device.redeem')).toHaveLength(4);
    const minted = await database.query(
      `select (select count(*)::int from api_keys) as keys, (select count(*)::int from sessions where kind = 'cli') as sessions`,
    );
    expect(minted).toEqual([{ keys: 3, sessions: 1 }]);
  },
);
