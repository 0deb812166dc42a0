import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { deviceFlow, forKey, forSession, outcomeOf } from '../support/device-flow.ts';
import { startProxy } from '../support/proxy.ts';
import { start, wires } from '../support/start.ts';

const ada = { email: 'ada@example.org', password: 'a difference engine', name: 'Ada', emailVerified: true };
const nonce = 'n'.repeat(22);
const logins = 40;

test.each(wires)(
  'over %s a connection that is cut during redemptions loses none and doubles none',
  { timeout: 60_000 },
  async (wire) => {
    const proxy = await startProxy();
    const service = await start({ databaseUrl: proxy.url });
    const { as } = await service.welcome(ada);
    const { request, approve, poll } = deviceFlow(service, wire);
    const codes: string[] = [];
    for (let n = 0; n < logins; n++) {
      const { deviceCode, userCode } = await request(n % 2 ? forKey : forSession);
      await approve(userCode, as);
      codes.push(deviceCode);
    }
    const failed: string[] = [];
    for (const code of codes) {
      const polling = outcomeOf(poll(code, nonce));
      await sleep(Math.random() * 8);
      proxy.reset();
      const outcome = await polling;
      if (outcome !== 'OK') failed.push(outcome);
      const isSettled = async () => (await outcomeOf(poll(code, nonce))) === 'OK';
      await expect.poll(isSettled, { timeout: 5000, interval: 50 }).toBe(true);
      expect(await outcomeOf(poll(code, 'm'.repeat(22)))).toBe('INVALID_DEVICE_CODE');
    }
    expect(new Set(failed)).toEqual(new Set(['DATABASE_UNAVAILABLE']));
    const minted = await service.database.query(
      `select (select count(*)::int from api_keys) as keys, (select count(*)::int from sessions where kind = 'device') as sessions`,
    );
    expect(minted).toEqual([{ keys: logins / 2, sessions: logins / 2 }]);
  },
);
