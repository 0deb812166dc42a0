import { describe, expect, test } from 'vitest';
import { lastMail } from '../support/inbox.ts';
import { browserOf, pathOfLink, registered, type TestBrowser } from '../support/page.ts';
import { ada } from '../support/people.ts';
import { start } from '../support/start.ts';

async function signIn(browser: TestBrowser) {
  const { form } = await browser.open(browser.at);
  return browser.post('/sign-in', { ...form!, email: ada.email, password: ada.password });
}

/** The address of the first link on a page whose path is the one given. */
function hrefOf(text: string, path: string): string {
  return new RegExp(`href="(${path}[^"]*)"`).exec(text)![1]!.replaceAll('&amp;', '&');
}

/** A browser on the page of a login, signed in as ada, whose address is not verified. */
async function refused(kind: 'device' | 'cli' | 'login') {
  const { service } = await registered();
  const { devices } = service.clients('grpc');
  const links = {
    device: async () => (await devices.requestDeviceCode({})).verificationUriComplete,
    cli: async () => (await devices.startCliLogin({})).loginUrl,
    login: async () => (await devices.startFingerprintLogin({ fingerprintId: 'a-machine' })).loginUrl,
  };
  const path = pathOfLink(await links[kind]());
  const browser = browserOf(service);
  await browser.open(path);
  const { form } = await signIn(browser);
  const page = await browser.post(`/${kind}`, { ...form!, decision: 'approve' });
  expect(page.alert).toContain('Verify your e-mail address');
  return { service, browser, path, kind, href: hrefOf(page.text, '/verification') };
}

async function verify(browser: TestBrowser, link: string) {
  const { form } = await browser.open(pathOfLink(link));
  return browser.post('/verify-email', form!);
}

describe('a user whose address is not verified', () => {
  test.each(['device', 'cli', 'login'] as const)('is led from the approval (%s) to a link, and back', async (kind) => {
    const { service, browser, path, href } = await refused(kind);
    const page = await browser.open(href);
    expect(page.text).toContain(`at ${ada.email}`);
    service.pass(61);
    const sent = await browser.post('/verification', page.form!);
    expect(sent.heading).toBe('Check your mail');
    expect(hrefOf(sent.text, `/${kind}`)).toBe(path);
    const done = await verify(browser, (await lastMail(service, ada.email)).link);
    expect(done.heading).toBe('Your address is verified');
    const confirm = await browser.open(hrefOf(done.text, `/${kind}`));
    const { heading } = await browser.post(`/${kind}`, { ...confirm.form!, decision: 'approve' });
    expect(heading).toBe('Approved');
    await browser.open(href);
    expect(browser.at, 'with a verified address').toBe(path);
  });

  test('is led on after a link that was opened before', async () => {
    const { service, browser, path, href } = await refused('device');
    await browser.post('/verification', (await browser.open(href)).form!);
    const { link } = await lastMail(service, ada.email);
    await verify(browserOf(service), link);
    const done = await verify(browser, link);
    expect(hrefOf(done.text, '/device')).toBe(path);
  });

  test('without a session is led to a link by address, and the response is that for any address', async () => {
    const { service } = await registered({ REQUIRE_VERIFIED_EMAIL: 'on' });
    const browser = browserOf(service);
    await browser.open('/sign-in?next=%2Fdevice%3Fuser_code%3DBCDF-GHJK');
    const { text } = await signIn(browser);
    const href = hrefOf(text, '/verification');
    const { form } = await browser.open(href);
    service.pass(61);
    const shown = [];
    for (const email of [ada.email, 'nobody@example.org'])
      shown.push((await browser.post('/verification', { ...form!, email })).text);
    expect(shown[0]).toBe(shown[1]);
    const done = await verify(browser, (await lastMail(service, ada.email)).link);
    await browser.open(hrefOf(done.text, '/device'));
    await signIn(browser);
    expect(browser.at).toBe('/device?user_code=BCDF-GHJK');
  });

  test('learns that addresses are not verified by mail where they are not', async () => {
    const service = await start({ env: { EMAIL_VERIFICATION: 'off' } });
    const browser = browserOf(service);
    const { form } = await browser.open('/verification');
    expect((await browser.post('/verification', { ...form!, email: ada.email })).alert).toContain(
      'not verified by mail',
    );
  });
});

test('another browser, and a cookie of another site, lead nowhere after a verification', async () => {
  const { service, link } = await registered();
  const browser = browserOf(service);
  browser.cookies.set('gatehouse-next', 'https://evil.example/');
  const done = await verify(browser, (await lastMail(service, ada.email)).link);
  expect(link.page).toBe('/verify-email');
  expect(done.heading).toBe('Your address is verified');
  expect(done.text).not.toMatch(/evil|href=/);
});

test('a new password leads to the sign-in, and on to the page that asked for it', async () => {
  const service = await start();
  await service.welcome();
  const browser = browserOf(service);
  const { form } = await browser.open('/forgot-password?next=%2Fdevice%3Fuser_code%3DBCDF-GHJK');
  await browser.post('/forgot-password', { ...form!, email: ada.email });
  const reset = await browser.open(pathOfLink((await lastMail(service, ada.email)).link));
  const done = await browser.post('/reset-password', { ...reset.form!, password: ada.password });
  expect(hrefOf(done.text, '/sign-in')).toBe('/sign-in?next=%2Fdevice%3Fuser_code%3DBCDF-GHJK');
});

describe('the field for an invite code', () => {
  test('is absent where no code is needed, and has that of the link', async () => {
    const browser = browserOf(await start());
    expect((await browser.open('/register')).form).not.toHaveProperty('invite_code');
    const { form } = await browser.open('/register?invite=WELCOME-1');
    expect(form).toHaveProperty('invite_code', 'WELCOME-1');
    const { email, password } = ada;
    const again = await browser.post('/register', { ...form!, email, password });
    expect(again).toMatchObject({ alert: 'This invite code is not valid.', form: { invite_code: 'WELCOME-1' } });
  });

  test('is required where a code is needed', async () => {
    const browser = browserOf(await start({ env: { REQUIRE_INVITE_CODE: 'on' } }));
    expect((await browser.open('/register')).text).toMatch(/<input id="invite_code"[^>]* required/);
  });
});
