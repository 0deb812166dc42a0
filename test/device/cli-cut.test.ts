import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { cliLogins, nonce, verified } from '../support/cli-logins.ts';
import { startProxy } from '../support/proxy.ts';
import { start, wires } from '../support/start.ts';

const { APPROVED, USED } = LoginState;
const rounds = 50;

test.each(wires)(
  'over %s no redemption is lost or doubled when the connections to the database break at any point',
  async (wire) => {
    const proxy = await startProxy();
    const service = await start({ databaseUrl: proxy.url });
    const { devices, poll } = cliLogins(service, wire);
    const { as } = await service.welcome(verified);
    /** Repeats a call until the database can be reached. */
    const persist = async <T>(call: () => Promise<T>): Promise<T> => {
      for (let tried = 1; ; tried++) {
        const result = await call().catch((error: unknown) => (tried < 50 ? undefined : Promise.reject(error)));
        if (result) return result;
        await sleep(20);
      }
    };
    let lost = 0;
    for (let round = 0; round < rounds; round++) {
      const { loginCode, pollingCode } = await persist(() => devices.startCliLogin({}));
      await devices.completeCliLogin({ loginCode }, as);
      const cut = sleep(Math.random() * 12).then(() => proxy.reset());
      const first = await poll(pollingCode, nonce).catch(() => undefined);
      await cut;
      if (!first) lost++;
      const again = await persist(() => poll(pollingCode, nonce));
      expect(again.state).toBe(APPROVED);
      if (first) expect(again.tokens!.refreshToken).toBe(first.tokens!.refreshToken);
      expect(await persist(() => poll(pollingCode, `${nonce}x`))).toMatchObject({ state: USED });
    }
    expect(lost, 'some calls were cut').toBeGreaterThan(0);
    const [row] = await service.database.query<{ sessions: number; redeemed: number }>(
      `select (select count(*)::int from sessions where kind = 'cli') as sessions,
       (select count(*)::int from login_attempts where state = 'redeemed' and minted_id is not null) as redeemed`,
    );
    expect(row).toEqual({ sessions: rounds, redeemed: rounds });
  },
  60_000,
);
