import { expect, test } from 'vitest';
import { adaAtAcme, startWithProvider } from '../auth/oauth/oauth.ts';
import { deviceFlow } from '../support/device-flow.ts';
import type { IdentityProvider, ProviderClaims } from '../support/identity-provider.ts';
import { browserOf, type SeenPage, type TestBrowser } from '../support/page.ts';
import { ada } from '../support/people.ts';
import { send } from '../support/raw-http.ts';
import type { StartOptions } from '../support/start.ts';

async function open(options: StartOptions = {}, more: (provider: IdentityProvider) => object = () => ({})) {
  const { service, provider } = await startWithProvider(options, more);
  return { service, provider, browser: browserOf(service) };
}

/** The fields of the form whose button has this text. */
function formWith(page: SeenPage, button: string): Record<string, string> {
  const form = page.text.split('<form').find((each) => each.includes(`>${button}</button>`))!;
  const inputs = [...form.matchAll(/name="([^"]*)" value="([^"]*)"/g)];
  return Object.fromEntries(inputs.map(([, name, value]) => [name!, value!.replaceAll('&amp;', '&')]));
}

/** Presses the button of a provider. Returns the address of the provider's page. */
async function start(browser: TestBrowser, label = 'acme', next = '') {
  const page = await browser.open(`/sign-in?next=${encodeURIComponent(next)}`);
  const going = await browser.post('/oauth/start', formWith(page, `Continue with ${label}`));
  expect(going.heading).toBe(`Continue with ${label}`);
  return /http-equiv="refresh" content="0; url=([^"]*)"/.exec(going.text)![1]!.replaceAll('&amp;', '&');
}

function callback(provider: IdentityProvider, url: string, claims: ProviderClaims = adaAtAcme) {
  return `/oauth/callback?${new URLSearchParams(provider.consent(url, claims))}`;
}

test('a user signs in with the button of a provider, and goes on to what asked for it', async () => {
  const { provider, browser } = await open();
  const url = await start(browser);
  expect(url.startsWith(`${provider.url}/authorize?`)).toBe(true);
  const page = await browser.open(callback(provider, url));
  expect(page.heading).toBe('Your devices');
  expect(page.text).toContain('ada@example.org');
});

test('a user whose only way to sign in is a provider approves a device', async () => {
  const { service, provider, browser } = await open();
  const flow = deviceFlow(service, 'json');
  const { userCode, deviceCode } = await flow.request();
  const complete = `/device?user_code=${userCode}`;
  expect((await browser.open(complete)).heading).toBe('Sign in');
  const url = await start(browser, 'acme', complete);
  const page = await browser.open(callback(provider, url));
  expect(browser.at).toBe(complete);
  const approved = await browser.post('/device', { ...page.form!, decision: 'approve' });
  expect(approved.status).toBe(200);
  expect((await flow.poll(deviceCode)).apiKey).not.toBe('');
});

test('a user without an address is named, and not taken for a guest', async () => {
  for (const [claims, shown] of [
    [{ sub: 'named-at-acme', name: 'Ada King' }, /Ada King/],
    [{ sub: 'nobody-at-acme' }, /signed in as [0-9a-f-]{36}/i],
  ] as const) {
    const { provider, browser } = await open();
    const page = await browser.open(callback(provider, await start(browser), claims));
    expect(page.text).toMatch(shown);
    expect(page.text).not.toContain('a guest');
  }
});

test('sign-ins in two tabs both finish, and fifty that are abandoned cost the browser nothing', async () => {
  const { service, provider, browser } = await open({}, (each) => ({ other: each.settings() }));
  const first = await start(browser, 'acme');
  const second = await start(browser, 'other');
  for (let count = 0; count < 50; count++) await start(browser, 'acme');
  const header = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  expect(header.length).toBeLessThan(4096);
  expect((await browser.open(callback(provider, first))).heading).toBe('Your devices');
  expect((await browser.open(callback(provider, second))).heading).toBe('Your devices');
  expect(await service.database.query('select 1 from users')).toHaveLength(1);
});

test('a callback that is loaded again shows that the user is signed in, and opens no second session', async () => {
  const { service, provider, browser } = await open();
  const address = callback(provider, await start(browser));
  await browser.open(address);
  expect((await browser.open(address)).heading).toBe('Your devices');
  expect(await service.database.query('select 1 from sessions')).toHaveLength(1);
  const other = await browserOf(service).open(address);
  expect(other).toMatchObject({ status: 400, alert: expect.stringContaining('used before') });
});

test('the callback of a sign-in that another browser has started signs nobody in', async () => {
  const { service, provider, browser } = await open();
  const address = callback(provider, await start(browser));
  const victim = browserOf(service);
  await victim.open('/sign-in');
  expect((await victim.open(address)).alert).toContain('another browser');
  expect(victim.cookies.has('gatehouse-session')).toBe(false);
  expect((await browser.open(address, {}, 'HEAD')).status).toBe(200);
  expect(browser.cookies.has('gatehouse-session'), 'HEAD uses nothing up').toBe(false);
  expect((await browser.open(address)).heading).toBe('Your devices');
});

test('a provider that returns by a POST from its own site has a cookie that the site sends', async () => {
  const { service, provider } = await open({ env: { PUBLIC_URL: 'https://gatehouse.test' } }, (each) => ({
    apple: each.settings(),
  }));
  const port = service.replicas[0]!.httpPort;
  const browser = browserOf(service);
  const page = await browser.open('/sign-in');
  const cookie = () => [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' };
  const body = new URLSearchParams(formWith(page, 'Continue with Apple')).toString();
  const going = await send(port, { path: '/oauth/start', body, headers: { ...headers, cookie: cookie() } });
  const [set] = going.headers['set-cookie']!;
  expect(set!.replace(/=[^;]+/, '=...')).toBe('__Host-gatehouse-provider=...; Path=/; HttpOnly; SameSite=None; Secure');
  const url = /url=([^"]*)"/.exec(going.text)![1]!.replaceAll('&amp;', '&');
  const user = JSON.stringify({ name: { firstName: 'Ada', lastName: 'Lovelace' } });
  const posted = new URLSearchParams({ ...provider.consent(url, { ...adaAtAcme, name: undefined }), user }).toString();
  const foreign = { ...headers, 'sec-fetch-site': 'cross-site', origin: 'https://appleid.apple.com' };
  const lax = await send(port, { path: '/oauth/callback', body: posted, headers: { ...foreign, cookie: cookie() } });
  expect(lax.status, 'the other cookies are not enough').toBe(400);
  const own = { ...foreign, cookie: set!.split(';', 1)[0]! };
  const repeated = await send(port, { path: '/oauth/callback', body: posted, headers: own });
  expect(repeated.status).toBe(303);
  const path = repeated.headers.location!;
  expect(path).toMatch(/^\/oauth\/callback\?posted=[\w-]+$/);
  const elsewhere = await send(port, { method: 'GET', path, headers: { cookie: '__Host-gatehouse-provider=another' } });
  expect(elsewhere.status, 'in another browser').toBe(400);
  const answer = await send(port, { method: 'GET', path, headers: { cookie: own.cookie } });
  expect(answer).toMatchObject({ status: 303, headers: { location: '/devices' } });
  expect((await send(port, { method: 'GET', path, headers: { cookie: own.cookie } })).status, 'once more').toBe(400);
  const [row] = await service.database.query('select name from users');
  expect(row).toEqual({ name: 'Ada Lovelace' });
});

test('a sign-in that fails says why, and leads back to the same page', async () => {
  const { service, provider, browser } = await open({}, (each) => ({
    broken: each.settings({ issuer: `${each.url}/broken` }),
  }));
  await service.welcome({ ...ada, emailVerified: true });
  const next = '/device?user_code=BCDF-GHJK';
  const url = await start(browser, 'acme', next);
  const state = new URL(url).searchParams.get('state')!;
  const denied = await browser.open(`/oauth/callback?${new URLSearchParams({ state, error: 'access_denied' })}`);
  expect(denied).toMatchObject({ status: 403, alert: 'You have cancelled the sign-in. Nothing was changed.' });
  expect(denied.text).toContain(`/sign-in?next=${encodeURIComponent(next)}`);
  const unverified = { ...adaAtAcme, email_verified: false };
  const taken = await browser.open(callback(provider, await start(browser), unverified));
  expect(taken).toMatchObject({ status: 409, alert: expect.stringContaining('Sign in as you did before') });
  expect((await browser.open('/oauth/callback')).status).toBe(400);
  provider.instead.set('/broken/.well-known/openid-configuration', (_, res) => res.writeHead(500).end());
  const page = await browser.open('/sign-in');
  const dead = await browser.post('/oauth/start', formWith(page, 'Continue with broken'));
  expect(dead).toMatchObject({ status: 503, alert: expect.stringContaining('does not respond at the moment') });
});

test('where addresses have to be verified, the page says that a mail was sent', async () => {
  const { provider, browser } = await open({ env: { REQUIRE_VERIFIED_EMAIL: 'on' } });
  const page = await browser.open(callback(provider, await start(browser), { ...adaAtAcme, email_verified: false }));
  expect(page.heading).toBe('Check your mail');
});

test('a form of another page or browser starts no sign-in', async () => {
  const { service, browser } = await open();
  const page = await browserOf(service).open('/sign-in');
  expect((await browser.post('/oauth/start', formWith(page, 'Continue with acme'))).status).toBe(403);
  expect((await browser.post('/oauth/start', { provider: 'acme' })).status).toBe(403);
  await browser.open('/oauth/start?provider=acme');
  expect(browser.at).toBe('/sign-in?next=%2Fdevices');
  expect(await service.database.query('select 1 from oauth_states')).toEqual([]);
});

const safari = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)';
const chrome =
  'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36';

test.each([
  ['Instagram', `${safari} Mobile/22B83 Instagram 357.0.0.26.105`, true],
  ['Facebook', `${safari} Mobile/22B83 [FBAN/FBIOS;FBAV/489.0.0.30.83]`, true],
  ['a web view', chrome.replace('Pixel 9)', 'Pixel 9; wv)'), true],
  ['Safari', `${safari} Version/18.1 Mobile/15E148 Safari/604.1`, false],
  ['Chrome', chrome, false],
])('in %s the page offers what works there', async (_, userAgent, isEmbedded) => {
  const { browser } = await open();
  const page = await browser.open('/sign-in?next=%2Fdevice', { 'user-agent': userAgent });
  expect(page.text.includes('inside another app')).toBe(isEmbedded);
  expect(page.text.includes('value="http://gatehouse.test/sign-in?next=%2Fdevice"')).toBe(isEmbedded);
  expect(page.text.includes('Continue with acme')).toBe(!isEmbedded);
  expect(page.form).toHaveProperty('password');
});

test('without providers the page has no buttons, and with an application of its own there is no page', async () => {
  const { service, browser } = await open({ env: { OAUTH_PROVIDERS: '{}' } });
  expect((await browser.open('/sign-in')).text).not.toContain('/oauth/start');
  const { path } = { path: '/oauth/callback?state=x' };
  const own = await open({ env: { FRONTEND_URL: 'https://app.example.com' } });
  expect((await send(own.service.replicas[0]!.httpPort, { method: 'GET', path })).status).toBe(404);
  const { authorizationUrl } = await own.service.clients('json').auth.startOAuth({ provider: 'acme', unbound: true });
  expect(new URL(authorizationUrl).searchParams.get('redirect_uri')).toBe('https://app.example.com/oauth/callback');
  expect(service.replicas).toHaveLength(1);
});
