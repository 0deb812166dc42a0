import { describe, expect, test } from 'vitest';
import { FactorType } from '../../gen/gatehouse/v1/factor_pb.ts';
import { enrollApp, useApp } from '../support/authenticator.ts';
import { registerPasskey } from '../support/passkeys.ts';
import { ada } from '../support/people.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };

describe.each(wires)('GetMe over %s', (wire) => {
  test('returns the factors on request, without passkeys, and none to an API key', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    await registerPasskey(clients, as, new SoftwareAuthenticator());
    const { tokens, factorId } = await useApp(clients, as, service.now());
    const raised = bearer(tokens!);
    await clients.mfa.generateRecoveryCodes({}, raised);
    expect((await clients.auth.getMe({}, raised)).factors).toEqual([]);
    const { factors } = await clients.auth.getMe({ factors: true }, raised);
    expect(factors).toMatchObject([
      { id: factorId, type: FactorType.TOTP, verified: true },
      { type: FactorType.RECOVERY_CODE, remainingCodes: 10 },
    ]);
    expect(factors).toEqual((await clients.mfa.listFactors({}, raised)).factors);
    const { secret } = await clients.devices.createApiKey({ name: 'a program' }, raised);
    const byKey = await clients.auth.getMe({ factors: true }, bearer({ accessToken: secret }));
    expect([byKey.user!.email, byKey.factors]).toEqual([ada.email, []]);
  });

  test('returns to each of twenty callers at once their own factors', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const people: { as: ReturnType<typeof bearer>; ids: string[] }[] = [];
    for (let n = 0; n < 5; n++) {
      const { as } = await service.welcome({ ...verifiedAda, email: `ada${n}@example.org` });
      // The first has none.
      const ids = n === 0 ? [] : [(await enrollApp(clients, as)).factorId];
      people.push({ as, ids });
    }
    const crowd = Array.from({ length: 20 }, (_, n) => people[n % people.length]!);
    const seen = await Promise.all(crowd.map(({ as }) => clients.auth.getMe({ factors: true }, as)));
    expect(seen.map(({ factors }) => factors.map(({ id }) => id))).toEqual(crowd.map(({ ids }) => ids));
  });
});
