import { describe, expect, test } from 'vitest';
import { registerPasskey, signInWithPasskey } from '../support/passkeys.ts';
import { ada } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { start, wires } from '../support/start.ts';

const verifiedAda = { ...ada, emailVerified: true };
const hash = 'Xk7bYp1MdGfHs3JaE6uTmJ2k9Q0vTzYZt5vQ8nLr2Xw';
const env = {
  PUBLIC_URL: 'https://auth.example.com',
  WEBAUTHN_RP_ID: 'example.com',
  WEBAUTHN_ORIGINS: `https://app.example.com,https://example.net,android:apk-key-hash:${hash}`,
};

describe.each(wires)('over %s', (wire) => {
  test('each configured origin signs in, apps included, and every other spelling is refused', async () => {
    const service = await start({ env });
    const clients = service.clients(wire);
    const { as } = await service.welcome(verifiedAda);
    const device = new SoftwareAuthenticator({ origin: `android:apk-key-hash:${hash}` });
    await registerPasskey(clients, as, device);
    await signInWithPasskey(clients, device);
    for (const origin of ['https://app.example.com', 'https://example.net'])
      await signInWithPasskey(clients, device, { clientData: { origin } });
    const others = [
      `android:apk-key-hash:${hash.toLowerCase()}`,
      `android:apk-key-hash:${hash.replace('X', 'Y')}`,
      `android:apk-key-hash:${hash}=`,
      hash,
      'https://auth.example.com',
      'https://app.example.com.evil.test',
      'https://APP.example.com',
      'https://app.example.com/',
      'https://app.example.com:443',
      'http://app.example.com',
      'null',
      null,
      '',
      ['https://app.example.com'],
    ];
    for (const origin of others) {
      const refusal = await refusalOf(signInWithPasskey(clients, device, { clientData: { origin } }));
      expect(refusal).toMatchObject({ reason: 'PASSKEY_VERIFICATION_FAILED', metadata: { check: 'origin' } });
    }
  });
});

test('several web origins are listed for browsers, and one is not', async () => {
  const read = async (options: Parameters<typeof start>[0]) => {
    const { replicas } = await start(options);
    return fetch(`http://127.0.0.1:${replicas[0]!.httpPort}/.well-known/webauthn`);
  };
  const listed = await read({ env });
  expect(listed.headers.get('content-type')).toBe('application/json');
  expect(await listed.json()).toEqual({ origins: ['https://app.example.com', 'https://example.net'] });
  expect((await read({})).status).toBe(404);
});
