// @serializable
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { authCodeOf } from '../support/fingerprint-samples.ts';
import { ada, testEnv } from '../support/people.ts';
import { serve } from '../support/process.ts';
import { together } from '../support/race.ts';
import { start, wires } from '../support/start.ts';

const clientNonce = 'a-nonce-of-32-characters-_-_-_-_';

test.each([2, 8, 20])(
  'a login whose replica is killed %i ms into its redemption is redeemed once, and its tokens are returned by another',
  async (milliseconds) => {
    const service = await start();
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const survivor = service.clients('json').devices;
    const victim = await serve({ DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS });
    // Each method once before, so that the kill meets the redemption and not the compilation of its code.
    const redeem = async (poll: (pollingCode: string) => Promise<unknown>) => {
      const login = await survivor.startFingerprintLogin({ fingerprintId: 'a_machine' });
      await survivor.confirmFingerprintLogin({ authCode: authCodeOf(login) }, as);
      await poll(login.pollingCode);
      return login;
    };
    await redeem((pollingCode) => victim.clients.grpc.devices.pollFingerprintLogin({ pollingCode, clientNonce }));
    await service.database.query(`delete from sessions where kind = 'cli'`);
    const { pollingCode } = await redeem(async (code) => {
      const polls = together((index) =>
        victim.clients[wires[index % 2]!].devices.pollFingerprintLogin({ pollingCode: code, clientNonce }),
      );
      await sleep(milliseconds);
      await victim.end('SIGKILL');
      await polls;
    });
    const { state, tokens } = await survivor.pollFingerprintLogin({ pollingCode, clientNonce });
    expect(state).toBe(LoginState.APPROVED);
    const { sessions } = service.clients('json');
    await sessions.refresh({ refreshToken: tokens!.refreshToken });
    expect(await service.database.query(`select id from sessions where kind = 'cli'`)).toHaveLength(1);
    const redeemed = `select id from audit_events where action = 'device.redeem'`;
    expect(await service.database.query(redeemed), 'both logins once').toHaveLength(2);
  },
);
