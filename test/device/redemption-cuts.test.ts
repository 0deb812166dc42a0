import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { nonce, verified } from '../support/cli-logins.ts';
import { deviceFlow, outcomeOf } from '../support/device-flow.ts';
import { authCodeOf } from '../support/fingerprint-samples.ts';
import { startProxy } from '../support/proxy.ts';
import { type bearer, start, type TestService, type Wire, wires } from '../support/start.ts';

type As = ReturnType<typeof bearer>;
/** The credential that a redemption with a nonce returns. Undefined for a login that was redeemed with another nonce. */
type Redeem = (clientNonce: string) => Promise<string | undefined>;

const rounds = 30;

/** A login that its user has approved. */
const approved: Readonly<Record<string, (service: TestService, wire: Wire, as: As) => Promise<Redeem>>> = {
  async fingerprint(service, wire, as) {
    const { devices } = service.clients(wire);
    const login = await devices.startFingerprintLogin({ fingerprintId: 'a_machine' });
    await devices.confirmFingerprintLogin({ authCode: authCodeOf(login) }, as);
    return async (clientNonce) => {
      const { pollingCode } = login;
      const { state, tokens } = await devices.pollFingerprintLogin({ pollingCode, clientNonce });
      expect([LoginState.APPROVED, LoginState.USED]).toContain(state);
      return tokens?.refreshToken;
    };
  },
  async 'long dashboard code'(service, wire, as) {
    const { create, redeem } = deviceFlow(service, wire);
    const code = await create(as);
    return (clientNonce) => unlessUsed(redeem(code, clientNonce));
  },
  async 'short dashboard code'(service, wire, as) {
    const { on, create, redeem } = deviceFlow(service, wire);
    const cliCode = await create(as, true);
    const { pollingCode: value } = await redeem(cliCode);
    await on().approveDashboardCode({ cliCode }, as);
    const proof = { case: 'pollingCode', value } as const;
    return (clientNonce) => unlessUsed(on().redeemDashboardCode({ proof, clientNonce }));
  },
};

async function unlessUsed(call: Promise<{ readonly apiKey: string }>): Promise<string | undefined> {
  const [outcome, answer] = [await outcomeOf(call), await call.catch(() => undefined)];
  if (answer) return answer.apiKey;
  if (outcome !== 'CLI_CODE_USED') throw new Error(outcome);
}

/** Repeats a call until the database can be reached. */
async function persist<T>(call: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried++) {
    const result = await call().then(
      (value) => ({ value }),
      (error: unknown) => (tried < 50 ? undefined : Promise.reject(error)),
    );
    if (result) return result.value;
    await sleep(20);
  }
}

test.each(wires.flatMap((wire) => Object.keys(approved).map((name) => [wire, name] as const)))(
  'over %s a connection that is cut during the redemption of a %s loses none and doubles none',
  { timeout: 60_000 },
  async (wire, name) => {
    const proxy = await startProxy();
    const service = await start({ databaseUrl: proxy.url });
    const { as } = await service.welcome(verified);
    let cut = 0;
    for (let round = 0; round < rounds; round++) {
      const redeem = await persist(() => approved[name]!(service, wire, as));
      const first = redeem(nonce).catch(() => undefined);
      await sleep((round * 12) / rounds);
      proxy.reset();
      const returned = await first;
      if (!returned) cut++;
      const again = await persist(() => redeem(nonce));
      expect(again).toBeTruthy();
      if (returned) expect(again).toBe(returned);
      expect(await persist(() => redeem(`${nonce}x`)), 'with another nonce').toBeUndefined();
    }
    expect(cut, 'redemptions without a response').toBeGreaterThan(0);
    const [row] = await service.database.query<{ minted: number; redeemed: number; begun: number }>(
      `select (select count(*)::int from api_keys) + (select count(*)::int from sessions where kind = 'cli') as minted,
         (select count(*)::int from login_attempts where state = 'redeemed' and minted_id is not null) as redeemed,
         (select count(*)::int from login_attempts where state = 'redeemed') as begun`,
    );
    expect(row).toEqual({ minted: rounds, redeemed: rounds, begun: rounds });
  },
);
