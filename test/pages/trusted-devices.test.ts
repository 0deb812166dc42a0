import { expect, test } from 'vitest';
import { adaAtAcme } from '../auth/oauth/oauth.ts';
import { enterPassword, nextCode, submit, withFactor } from '../support/factor-pages.ts';
import { startProvider } from '../support/identity-provider.ts';
import { browserOf } from '../support/page.ts';

const title = 'Confirm that it is you';
const label = 'Do not ask again on this device for 30 days';

/** Ada in a browser that she trusts, signed out again. */
async function withTrust(env: Record<string, string> = {}) {
  const prepared = await withFactor(env);
  const { service, browser, secret } = prepared;
  const prompt = await enterPassword(browser);
  await submit(browser, prompt.text, ['code'], { code: nextCode(service, secret), trust: 'yes' });
  const leave = async () => browser.post('/sign-out', (await browser.open('/sign-out')).form!);
  await leave();
  return { ...prepared, prompt, leave };
}

test('a trusted browser is asked for the password alone, also after its session was refreshed', async () => {
  const { service, browser, prompt } = await withTrust();
  expect(prompt.text).toContain(label);
  const signedIn = await enterPassword(browser);
  expect([signedIn.heading, browser.at]).toEqual(['Your devices', '/devices']);
  service.pass(7200);
  expect((await browser.open('/devices')).heading).toBe('Your devices');
  const other = browserOf(service);
  expect((await enterPassword(other)).heading, 'another browser').toBe(title);
});

test('an action that needs the factor asks for it in a trusted browser too, and does not offer trust', async () => {
  const { service, browser, secret } = await withTrust();
  await enterPassword(browser);
  const page = await browser.open('/factors');
  const prompt = await submit(browser, page.text, ['do', 'remove']);
  expect(prompt.heading).toBe(title);
  expect(prompt.text).toContain('Remove the factor “phone”');
  expect(prompt.text).not.toContain('name="trust"');
  const done = await submit(browser, prompt.text, ['code'], { code: nextCode(service, secret) });
  expect(done.text).toContain('You have no second factor.');
});

test('a trusted device is listed on /devices, and is asked again after it was removed there', async () => {
  const { browser, leave } = await withTrust();
  const page = await enterPassword(browser);
  expect(page.text).toContain('Trusted devices');
  const removed = await submit(browser, page.text, ['trusted_device_id']);
  expect([removed.heading, browser.at], 'its own session awaits the factor from now on').toEqual([
    title,
    '/factor?next=%2Fdevices',
  ]);
  await leave();
  expect((await enterPassword(browser)).heading).toBe(title);
});

test('the trust of another user, an altered one and an expired one are ignored', async () => {
  const { service, browser, leave } = await withTrust();
  const token = browser.cookies.get('gatehouse-trusted')!;
  browser.cookies.set('gatehouse-trusted', `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`);
  expect((await enterPassword(browser)).heading, 'altered').toBe(title);
  await leave();
  for (const text of ['x'.repeat(3000), 'ä'.repeat(128), '%00']) {
    browser.cookies.set('gatehouse-trusted', Buffer.from(text).toString('latin1'));
    expect((await enterPassword(browser)).heading, 'no token').toBe(title);
    await leave();
  }
  browser.cookies.set('gatehouse-trusted', token);
  expect((await enterPassword(browser)).heading, 'restored').toBe('Your devices');
  await leave();
  service.pass(31 * 86_400);
  expect((await enterPassword(browser)).heading, 'expired').toBe(title);
});

test('nothing is offered where no device is trusted, and a form that asks for it all the same gets none', async () => {
  const { browser, prompt } = await withTrust({ TRUSTED_DEVICE_DAYS: 'off' });
  expect(prompt.text).not.toContain('name="trust"');
  expect(browser.cookies.has('gatehouse-trusted')).toBe(false);
  expect((await enterPassword(browser)).heading).toBe(title);
});

// Acme returns by a GET, Apple by a POST from its own site, with which a browser sends no Lax cookie.
test.each([
  ['acme', 'acme'],
  ['apple', 'Apple'],
])('a trusted browser is asked for no factor after a sign-in with %s', async (name, label) => {
  const provider = await startProvider();
  const { browser, leave } = await withTrust({ OAUTH_PROVIDERS: JSON.stringify({ [name]: provider.settings() }) });
  const signIn = async () => {
    const page = await browser.open('/sign-in');
    const going = await submit(browser, page.text, ['provider', name]);
    expect(going.heading).toBe(`Continue with ${label}`);
    const url = /url=([^"]*)"/.exec(going.text)![1]!.replaceAll('&amp;', '&');
    const sent = provider.consent(url, adaAtAcme);
    if (name === 'acme') return browser.open(`/oauth/callback?${new URLSearchParams(sent)}`);
    const cookie = `gatehouse-provider=${browser.cookies.get('gatehouse-provider')}`;
    return browser.post('/oauth/callback', sent, { cookie, origin: 'https://appleid.apple.com' });
  };
  expect((await signIn()).heading).toBe('Your devices');
  await leave();
  browser.cookies.delete('gatehouse-trusted');
  expect((await signIn()).heading, 'without the trust').toBe(title);
});
