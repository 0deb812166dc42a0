import { expect, test } from 'vitest';
import { adaAtAcme } from '../auth/oauth/oauth.ts';
import { enterPassword, formOf, submit, withFactor } from '../support/factor-pages.ts';
import { startProvider } from '../support/identity-provider.ts';
import { browserOf, type SeenPage } from '../support/page.ts';
import { registerPasskey } from '../support/passkeys.ts';
import { ada } from '../support/people.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { start } from '../support/start.ts';

const offer = 'Sign in without a password next time';

/** Ada, and a browser that is not signed in. */
async function prepare(env: Record<string, string> = {}, emailVerified = true) {
  const service = await start({ env });
  const { as, user } = await service.welcome({ ...ada, emailVerified });
  return { service, as, user, clients: service.clients('grpc'), browser: browserOf(service) };
}

const readAttribute = (text: string) => text.replaceAll('&quot;', '"').replaceAll('&amp;', '&');

/** The options of the form that an authenticator completes. */
function optionsOf({ text }: SeenPage, kind: 'get' | 'create') {
  return JSON.parse(readAttribute(new RegExp(`data-ceremony="${kind}" data-options="([^"]*)"`).exec(text)![1]!));
}

test('a passkey is offered after a password to a user who has a verified address and no passkey', async () => {
  const { clients, as, browser, service } = await prepare();
  expect((await enterPassword(browser)).text).toContain(offer);
  await registerPasskey(clients, as, new SoftwareAuthenticator());
  expect((await enterPassword(browserOf(service))).text, 'a user who has one').not.toContain(offer);
  const unverified = await prepare({}, false);
  const devices = await enterPassword(unverified.browser);
  expect(devices.heading).toBe('Your devices');
  expect(devices.text, 'an address that is not verified').not.toContain(offer);
});

test('no passkey is offered after a sign-in with a provider', async () => {
  const provider = await startProvider();
  const { browser } = await prepare({ OAUTH_PROVIDERS: JSON.stringify({ acme: provider.settings() }) });
  const going = await submit(browser, (await browser.open('/sign-in')).text, ['provider', 'acme']);
  const url = readAttribute(/url=([^"]*)"/.exec(going.text)![1]!);
  const page = await browser.open(`/oauth/callback?${new URLSearchParams(provider.consent(url, adaAtAcme))}`);
  expect(page.heading).toBe('Your devices');
  expect(page.text).not.toContain(offer);
});

test('the page names a passkey that is not registered any longer, so that the browser forgets it', async () => {
  const { clients, as, browser } = await prepare();
  const device = new SoftwareAuthenticator();
  const { passkey } = await registerPasskey(clients, as, device);
  await clients.mfa.deletePasskey({ passkeyId: passkey!.id }, as);
  const page = await browser.open('/sign-in');
  const credential = device.get(optionsOf(page, 'get'));
  const refused = await submit(browser, page.text, ['credential'], { credential: JSON.stringify(credential) });
  expect(refused).toMatchObject({ status: 401, alert: expect.stringContaining('was removed from the account') });
  const unknown = JSON.parse(readAttribute(/data-unknown="([^"]*)"/.exec(refused.text)![1]!));
  expect(unknown).toEqual({ rpId: 'gatehouse.test', credentialId: credential.id });
  expect(page.text).not.toContain('data-unknown');
  const wrong = await submit(browser, refused.text, ['credential'], { credential: JSON.stringify({ id: 'x' }) });
  expect(wrong.status).toBe(401);
  expect(wrong.text, 'after another refusal').not.toContain('data-unknown');
});

test.each(['[]', '"x"', '7', 'null', '{', '[{"id":"x"}]'])(
  '%s is no response of an authenticator',
  async (credential) => {
    const { browser } = await prepare();
    const page = await browser.open('/sign-in');
    // With the right password beside it, so that the page does not fall back to that.
    const refused = await submit(browser, page.text, ['credential'], { ...ada, credential });
    expect(refused.status).toBe(400);
    expect(refused.form).toHaveProperty('password');
  },
);

test('over the rate limit of passkeys the page still has the password', async () => {
  const { browser } = await prepare({ LIMITS: 'MfaService.StartPasskeySignIn=1' });
  expect((await browser.open('/sign-in')).text).toContain('data-ceremony="get"');
  const page = await browser.open('/sign-in');
  expect([page.status, page.text.includes('data-ceremony="get"')]).toEqual([200, false]);
  expect((await submit(browser, page.text, ['password'], ada)).heading).toBe('Your devices');
});

test('a registration that is refused shows why, with the name and a new challenge', async () => {
  const { service, browser } = await prepare();
  await enterPassword(browser);
  const begin = async () => submit(browser, (await browser.open('/factors')).text, ['do', 'passkey']);
  const send = (page: SeenPage, device: SoftwareAuthenticator, name: string, options = optionsOf(page, 'create')) =>
    submit(browser, page.text, ['credential'], {
      credential: JSON.stringify(device.create(options)),
      passkey_name: name,
    });
  const first = await begin();
  await send(first, new SoftwareAuthenticator(), 'laptop');
  const taken = await send(await begin(), new SoftwareAuthenticator(), 'laptop');
  expect(taken).toMatchObject({ status: 409, alert: 'You have a passkey with this name. Choose another name.' });
  expect(taken.form).toMatchObject({ passkey_name: 'laptop' });
  const old = await send(taken, new SoftwareAuthenticator(), 'phone', optionsOf(first, 'create'));
  expect(old).toMatchObject({ status: 400, alert: 'The passkey was not accepted.' });
  expect((await send(old, new SoftwareAuthenticator(), 'phone')).heading).toBe('Second factors');
  const last = await begin();
  service.pass(601);
  const prompt = await send(last, new SoftwareAuthenticator(), 'tablet');
  expect(prompt.heading, 'the session became too old').toBe('Confirm that it is you');
  expect(await service.database.query("select id from factors where type = 'passkey'")).toHaveLength(2);
});

test('a passkey is a second factor for the challenge that the page has begun, and for no other', async () => {
  const { clients, as, browser } = await withFactor();
  const device = new SoftwareAuthenticator();
  const { passkey } = await registerPasskey(clients, as, device, { friendlyName: 'laptop' });
  await enterPassword(browser);
  const prompt = await browser.open(`/factor?${new URLSearchParams({ next: '/devices', factor: passkey!.id })}`);
  const { path, fields } = formOf(prompt.text, 'challenge_id');
  const begun = await browser.post(path, { ...fields, start: '1' });
  const other = await browser.post(path, { ...fields, start: '1' });
  const credential = JSON.stringify(device.get(optionsOf(begun, 'get')));
  const challengeOf = (page: SeenPage) => formOf(page.text, 'challenge_id').fields;
  const refused = await browser.post(path, { ...challengeOf(other), credential });
  expect(refused.alert).toContain('was not accepted');
  expect((await browser.post(path, { ...challengeOf(begun), credential })).heading).toBe('Your devices');
});
