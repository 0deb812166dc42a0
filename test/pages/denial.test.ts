import { expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { outcomeOf } from '../support/device-flow.ts';
import { follow } from '../support/login-streams.ts';
import { startOAuth } from '../support/oauth.ts';
import { browserOf, pathOfLink } from '../support/page.ts';
import { ada } from '../support/people.ts';

type Prepared = Awaited<ReturnType<typeof prepare>>;

/** A browser that is signed in as ada. */
async function prepare() {
  const oauth = await startOAuth();
  const browser = browserOf(oauth.service);
  const { form } = await browser.open('/sign-in');
  await browser.post('/sign-in', { ...form!, email: ada.email, password: 'a difference engine' });
  return { ...oauth, browser, devices: oauth.service.clients('grpc').devices };
}

/** How each kind of login is started: its page, its secret, and its poll. */
const kinds: Readonly<
  Record<string, (prepared: Prepared) => Promise<{ path: string; secret: string; poll: () => Promise<unknown> }>>
> = {
  async device({ devices }) {
    const { verificationUriComplete, deviceCode } = await devices.requestDeviceCode({});
    const poll = () => outcomeOf(devices.pollDeviceToken({ deviceCode }));
    return { path: pathOfLink(verificationUriComplete), secret: deviceCode, poll };
  },
  async cli({ devices }) {
    const { loginUrl, pollingCode } = await devices.startCliLogin({});
    const poll = async () => (await devices.pollCliLogin({ pollingCode })).state;
    return { path: pathOfLink(loginUrl), secret: pollingCode, poll };
  },
  async login({ devices }) {
    const { loginUrl, pollingCode } = await devices.startFingerprintLogin({ fingerprintId: 'a-machine' });
    const poll = async () => (await devices.pollFingerprintLogin({ pollingCode })).state;
    return { path: pathOfLink(loginUrl), secret: pollingCode, poll };
  },
};

const denied: Readonly<Record<string, unknown>> = {
  device: 'ACCESS_DENIED',
  cli: LoginState.DENIED,
  login: LoginState.DENIED,
};

test.each(Object.keys(kinds))('a denial on the page ends the poll and the stream of the program: %s', async (kind) => {
  const prepared = await prepare();
  const { service, browser, devices } = prepared;
  const { path, secret, poll } = await kinds[kind]!(prepared);
  const stream = follow(devices.awaitLogin({ pollingSecret: secret }));
  expect(await stream.saw(1)).toBe(LoginState.PENDING);
  const { form } = await browser.open(path);
  await browser.post(`/${kind}`, { ...form!, decision: 'deny' });
  const at = performance.now();
  await stream.ended;
  expect(stream.states.at(-1)).toBe(LoginState.DENIED);
  expect(performance.now() - at).toBeLessThan(2000);
  for (const _ of ['first', 'again']) {
    service.pass(6);
    expect(await poll()).toBe(denied[kind]);
  }
});

test('a denial on the page is access_denied to a program with an OAuth library, finally', async () => {
  const { service, browser, authorize, redeem } = await prepare();
  const { device_code, verification_uri_complete } = await authorize();
  const { form } = await browser.open(pathOfLink(verification_uri_complete));
  await browser.post('/device', { ...form!, decision: 'deny' });
  for (const _ of ['first', 'again']) {
    service.pass(6);
    expect(await redeem(device_code)).toMatchObject({ status: 400, body: { error: 'access_denied' } });
  }
});

test.each(Object.keys(kinds))(
  'a link preview changes nothing, and the browser stands on the page that asks: %s',
  async (kind) => {
    const prepared = await prepare();
    const { service, browser, devices } = prepared;
    const { path, secret } = await kinds[kind]!(prepared);
    const stream = follow(devices.awaitLogin({ pollingSecret: secret }));
    const bot = { 'user-agent': 'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)' };
    for (const reader of [browserOf(service), browser])
      for (const method of ['HEAD', 'GET']) await reader.open(path, bot, method);
    const page = await browser.open(path);
    expect([browser.at, page.heading]).toEqual([path, 'Sign in a device?']);
    for (const shown of ['value="approve"', 'value="deny"', 'Number to compare']) expect(page.text).toContain(shown);
    expect(await stream.saw(1)).toBe(LoginState.PENDING);
    expect(stream.states).toEqual([LoginState.PENDING]);
    await browser.post(`/${kind}`, { ...page.form!, decision: 'deny' });
    await stream.ended;
  },
);

test.each(Object.keys(kinds))(
  'every step to the sign-in carries the request, and decides nothing: %s',
  async (kind) => {
    const prepared = await prepare();
    const { path } = await kinds[kind]!(prepared);
    const browser = browserOf(prepared.service);
    await browser.open(path);
    for (const step of ['/register', '/sign-in', '/forgot-password', '/sign-in']) {
      const { text } = await browser.open(browser.at);
      const [, href] = new RegExp(`href="(${step}\\?[^"]*)"`).exec(text)!;
      await browser.open(href!.replaceAll('&amp;', '&'));
      expect(browser.at).toBe(`${step}?next=${encodeURIComponent(path)}`);
    }
    const { form } = await browser.open(browser.at);
    const page = await browser.post('/sign-in', { ...form!, email: ada.email, password: 'a difference engine' });
    expect([browser.at, page.heading]).toEqual([path, 'Sign in a device?']);
  },
);
