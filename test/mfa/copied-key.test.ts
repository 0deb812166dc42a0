import { describe, expect, test } from 'vitest';
import { mailsTo } from '../support/inbox.ts';
import { registerPasskey, signInWithPasskey, useSecurityKey, verifyWithDevice } from '../support/passkeys.ts';
import { ada } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start, type TestService, wires } from '../support/start.ts';

const subject = 'A sign-in with a security key was refused';
const env = { MAIL_GAP: '0s' };

async function tracesOf(service: TestService) {
  const mails = (await mailsTo(service, ada.email)).filter((each) => each.subject === subject);
  const events = await service.database.query<{ entity_id: string; user_id: string; result: string }>(
    "select entity_id, user_id, result from audit_events where action = 'factor.copy_suspected' order by id",
  );
  return { mails, events };
}

describe.each(wires)('over %s', (wire) => {
  test('a security key whose counter does not grow is refused, with an event and a mail to the owner', async () => {
    const service = await start({ env });
    const clients = service.clients(wire);
    const { as, user } = await service.welcome({ ...ada, emailVerified: true });
    const key = new SoftwareAuthenticator();
    const { factorId, tokens } = await useSecurityKey(clients, as, key, { friendlyName: 'blue key', signCount: 7 });
    const raised = bearer(tokens!);
    await verifyWithDevice(clients, raised, factorId, key, { signCount: 9 });
    for (const signCount of [9, 8, 0]) {
      const refusal = await refusalOf(verifyWithDevice(clients, raised, factorId, key, { signCount }));
      expect(refusal).toMatchObject({ reason: 'MFA_VERIFICATION_FAILED', metadata: { check: 'counter' } });
    }
    const { mails, events } = await tracesOf(service);
    expect(events).toEqual(Array(3).fill({ entity_id: factorId, user_id: user.id, result: 'FAILURE' }));
    expect(mails).toHaveLength(3);
    expect(mails[0]!.text).toContain('Key: blue key');
    await verifyWithDevice(clients, raised, factorId, key, { signCount: 10 });
  });

  test('so is a passkey that signs in', async () => {
    const service = await start({ env });
    const clients = service.clients(wire);
    const { as, user } = await service.welcome({ ...ada, emailVerified: true });
    const device = new SoftwareAuthenticator();
    const { passkey } = await registerPasskey(clients, as, device, { friendlyName: 'laptop', signCount: 7 });
    const refusal = await refusalOf(signInWithPasskey(clients, device, { signCount: 7 }));
    expect(refusal).toMatchObject({ reason: 'PASSKEY_VERIFICATION_FAILED', metadata: { check: 'counter' } });
    const { mails, events } = await tracesOf(service);
    expect(events).toEqual([{ entity_id: passkey!.id, user_id: user.id, result: 'FAILURE' }]);
    expect(mails).toHaveLength(1);
    expect(mails[0]!.text).toContain('Key: laptop');
  });

  test('a response that is sent twice, a wrong signature and a synced passkey are no such alarm', async () => {
    const service = await start({ env });
    const clients = service.clients(wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const device = new SoftwareAuthenticator();
    await registerPasskey(clients, as, device);
    const { requestOptions } = await clients.mfa.startPasskeySignIn({});
    const credential = device.get(requestOptions!);
    await clients.mfa.finishPasskeySignIn({ credential });
    const again = await refusalOf(clients.mfa.finishPasskeySignIn({ credential }));
    expect(again.reason).toBe('MFA_CHALLENGE_EXPIRED');
    await refusalOf(signInWithPasskey(clients, device, { tamper: true, signCount: 0 }));
    const synced = new SoftwareAuthenticator({ isSynced: true });
    await registerPasskey(clients, as, synced, { signCount: 7 });
    await signInWithPasskey(clients, synced, { signCount: 3 });
    expect(await tracesOf(service)).toEqual({ mails: [], events: [] });
  });
});
