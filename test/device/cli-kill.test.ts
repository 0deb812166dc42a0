// @serializable
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { GuestDisposition } from '../../gen/gatehouse/v1/cli_login_pb.ts';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { nonce, verified } from '../support/cli-logins.ts';
import { createDatabase } from '../support/database.ts';
import { asService, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { crowd, together } from '../support/race.ts';
import { bearer, wires } from '../support/start.ts';

const { APPROVED, USED } = LoginState;

/** Two replicas as processes of their own. */
async function serveTwo() {
  const database = await createDatabase();
  const env = { DATABASE_URL: database.url, MASTER_KEYS: testEnv.MASTER_KEYS };
  const [kept, killed] = [await serve(env), await serve(env)];
  return { database, kept, killed };
}

describe.each(wires)('over %s', (wire) => {
  test('a replica that is killed during parallel redemptions leaves one session or none, and the same nonce gets it', async () => {
    const { database, kept, killed } = await serveTwo();
    const { devices, admin, auth, sessions } = kept.clients[wire];
    await admin.createUser(verified, asService);
    const { tokens } = await auth.signIn(verified);
    const { loginCode, pollingCode } = await devices.startCliLogin({});
    await devices.completeCliLogin({ loginCode }, bearer(tokens!));
    const racing = together((index) => {
      const { devices } = (index % 2 ? killed : kept).clients[wire];
      return devices.pollCliLogin({ pollingCode, clientNonce: nonce });
    });
    await sleep(Math.random() * 20);
    killed.kill('SIGKILL');
    const { answers } = await racing;
    await killed.ended;
    const last = await devices.pollCliLogin({ pollingCode, clientNonce: nonce });
    const all = [...answers, last];
    expect(all.map(({ state }) => state)).toEqual(all.map(() => APPROVED));
    expect(new Set(all.map((each) => each.tokens!.refreshToken)).size).toBe(1);
    expect(await devices.pollCliLogin({ pollingCode, clientNonce: `${nonce}x` })).toMatchObject({ state: USED });
    await sessions.refresh({ refreshToken: last.tokens!.refreshToken });
    expect(await database.query(`select id from sessions where kind = 'cli'`)).toHaveLength(1);
    const events = await database.query(`select id from audit_events where action = 'device.redeem'`);
    expect(events).toHaveLength(1);
  });

  test('a replica that is killed during parallel completions leaves one approval, and a guest who is merged once or not at all', async () => {
    const { database, kept, killed } = await serveTwo();
    const { devices, admin, auth } = kept.clients[wire];
    const users: { id: string; as: ReturnType<typeof bearer> }[] = [];
    for (let i = 0; i < crowd; i++) {
      const person = { ...verified, email: `person-${i}@example.org` };
      const { user } = await admin.createUser(person, asService);
      users.push({ id: user!.id, as: bearer((await auth.signIn(person)).tokens!) });
    }
    const guest = await auth.signUpAnonymous({});
    const login = await devices.startCliLogin({ anonRefreshToken: guest.tokens!.refreshToken });
    const request = { loginCode: login.loginCode, guestDisposition: GuestDisposition.MERGE };
    const racing = together((index) => {
      const { devices } = (index % 2 ? killed : kept).clients[wire];
      return devices.completeCliLogin(request, users[index]!.as);
    });
    await sleep(Math.random() * 20);
    killed.kill('SIGKILL');
    const { answers } = await racing;
    await killed.ended;
    expect(answers.length).toBeLessThanOrEqual(1);
    await devices.completeCliLogin(request, users[0]!.as).catch(() => {});
    const { user } = await devices.pollCliLogin({ pollingCode: login.pollingCode });
    const merges = await database.query<{ actor_id: string }>(
      `select actor_id from audit_events where action = 'user.merge'`,
    );
    expect(merges).toEqual([{ actor_id: user!.id }]);
    const live = await database.query('select id from users where id = $1 and deleted_at is null', [guest.user!.id]);
    expect(live).toEqual([]);
  });
});
