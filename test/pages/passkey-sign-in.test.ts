import { expect, test } from 'vitest';
import { deviceFlow } from '../support/device-flow.ts';
import { formOf, submit } from '../support/factor-pages.ts';
import { tokenFor } from '../support/inbox.ts';
import { browserOf, pathOfLink } from '../support/page.ts';
import { registerPasskey } from '../support/passkeys.ts';
import { ada, asService } from '../support/people.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { bearer, start } from '../support/start.ts';

/** Ada, who has no password and a passkey. */
async function withPasskeyOnly() {
  const service = await start();
  const clients = service.clients('json');
  await clients.admin.createUser({ email: ada.email, emailVerified: true }, asService);
  await clients.auth.requestMagicLink({ email: ada.email });
  const { tokens } = await clients.auth.signInWithMagicLink({ token: await tokenFor(service, ada.email) });
  const device = new SoftwareAuthenticator();
  await registerPasskey(clients, bearer(tokens!), device);
  return { service, clients, device };
}

/** The options of the form that an authenticator completes. */
function optionsOf(text: string) {
  const [, options] = /data-ceremony="get" data-options="([^"]*)"/.exec(text)!;
  return JSON.parse(options!.replaceAll('&quot;', '"'));
}

test('a user whose only way to sign in is a passkey approves a device', async () => {
  const { service, device } = await withPasskeyOnly();
  const { on, poll } = deviceFlow(service, 'json');
  const { verificationUriComplete, deviceCode } = await on().requestDeviceCode({ clientName: 'TV' });
  const complete = pathOfLink(verificationUriComplete);
  const browser = browserOf(service);
  const page = await browser.open(complete);
  expect(page.heading).toBe('Sign in');
  expect(formOf(page.text, 'credential').path).toBe('/sign-in');
  const credential = JSON.stringify(device.get(optionsOf(page.text)));
  const confirm = await submit(browser, page.text, ['credential'], { credential });
  expect([browser.at, confirm.heading]).toEqual([complete, 'Sign in a device?']);
  expect((await browser.post('/device', { ...confirm.form!, decision: 'approve' })).heading).toBe('Approved');
  expect((await poll(deviceCode)).user!.email).toBe(ada.email);
});

test('a passkey of an authenticator that is not known signs nobody in, and the page keeps what asked for it', async () => {
  const { service } = await withPasskeyOnly();
  const browser = browserOf(service);
  const page = await browser.open('/device?user_code=BCDF-GHJK');
  const stranger = new SoftwareAuthenticator();
  const challenge = optionsOf(page.text);
  stranger.create({ rp: { id: challenge.rpId }, user: { id: 'AAAA' }, challenge: challenge.challenge });
  const credential = JSON.stringify(stranger.get(challenge));
  const refused = await submit(browser, page.text, ['credential'], { credential });
  expect(refused.status).toBeGreaterThanOrEqual(400);
  expect(refused.alert).toBeDefined();
  expect(refused.text).toContain('user_code');
  expect(browser.cookies.has('gatehouse-session')).toBe(false);
});
