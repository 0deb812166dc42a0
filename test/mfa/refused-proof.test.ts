import { describe, expect, test } from 'vitest';
import { useApp, verifyCode } from '../support/authenticator.ts';
import { registerPasskey, useSecurityKey, verifyWithDevice } from '../support/passkeys.ts';
import { ada } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start, wires } from '../support/start.ts';

describe.each(wires)('over %s', (wire) => {
  test('the sentence of a refused proof is true of the kind of the factor', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const device = new SoftwareAuthenticator();
    const { passkey } = await registerPasskey(clients, as, device);
    const { factorId, tokens } = await useApp(clients, as, service.now());
    const raised = bearer(tokens!);
    const key = new SoftwareAuthenticator();
    const { factorId: keyId } = await useSecurityKey(clients, raised, key);
    const { codes, factor } = await clients.mfa.generateRecoveryCodes({}, raised);
    await verifyCode(clients, raised, factor!.id, codes[0]!);
    const sentences: string[] = [];
    for (const call of [
      () => verifyCode(clients, raised, factorId, '000000'),
      () => verifyCode(clients, raised, factor!.id, codes[0]!),
      () => verifyWithDevice(clients, raised, keyId, key, { tamper: true }),
      () => verifyWithDevice(clients, raised, passkey!.id, device, { tamper: true }),
    ]) {
      const { reason, message } = await refusalOf(call());
      expect(reason).toBe('MFA_VERIFICATION_FAILED');
      sentences.push(message);
    }
    expect(sentences).toEqual([
      'the factor could not be verified: the code is wrong or was used before',
      'the factor could not be verified: the recovery code is wrong or was used before',
      'the factor could not be verified: the response of the security key was not accepted',
      'the factor could not be verified: the response of the passkey was not accepted',
    ]);
  });
});
