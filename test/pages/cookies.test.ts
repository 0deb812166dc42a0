import { expect, test } from 'vitest';
import { browserOf, type TestBrowser } from '../support/page.ts';
import { ada, bob } from '../support/people.ts';
import { send } from '../support/raw-http.ts';
import { start } from '../support/start.ts';

/** Ada in a browser, and what a host of the same parent domain can set in it: cookies without the prefix. */
async function prepare() {
  const service = await start({ env: { PUBLIC_URL: 'https://login.example.org' } });
  await service.welcome();
  const mallory = await service.welcome(bob);
  const browser = browserOf(service);
  await signIn(browser);
  const own = [...browser.cookies].map(([name, value]) => `${name}=${value}`);
  const { accessToken, refreshToken } = mallory.tokens;
  const tossed = [`gatehouse-session=${refreshToken}`, `gatehouse-access=${accessToken}`, 'gatehouse-browser=x'];
  const open = (cookies: string[]) =>
    send(service.replicas[0]!.httpPort, { method: 'GET', path: '/devices', headers: { cookie: cookies.join('; ') } });
  return { own, tossed, open };
}

async function signIn(browser: TestBrowser) {
  const { form } = await browser.open('/sign-in');
  return browser.post('/sign-in', { ...form!, email: ada.email, password: ada.password });
}

test('a cookie that another host of the domain has set signs nobody in, and replaces no session', async () => {
  const { own, tossed, open } = await prepare();
  expect(own.map((each) => each.split('=', 1)[0]).sort()).toEqual(
    ['access', 'browser', 'session'].map((name) => `__Host-gatehouse-${name}`),
  );
  expect(await open(tossed)).toMatchObject({ status: 303, headers: { location: '/sign-in?next=%2Fdevices' } });
  for (const cookies of [
    [...tossed, ...own],
    [...own, ...tossed],
    [...own, ...tossed.map((each) => ` ${each}`)],
  ]) {
    const { status, text } = await open(cookies);
    expect(status).toBe(200);
    expect(text).toContain(ada.email);
    expect(text).not.toContain(bob.email);
  }
});

test('many cookies and large ones hide no session, and too many are refused', async () => {
  const { own, open } = await prepare();
  const many = Array.from({ length: 100 }, (_, n) => `other-${n}=${'v'.repeat(40)}`);
  expect((await open([...many, ...own])).text).toContain(ada.email);
  expect((await open([`large=${'v'.repeat(8192)}`, ...own])).text).toContain(ada.email);
  expect((await open([`large=${'v'.repeat(20_000)}`, ...own])).status).toBe(431);
  for (const damaged of ['=x', ';;;', '__Host-gatehouse-session', '"', 'a=b=c=d', '\t=\t'])
    expect((await open([damaged, ...own])).text, damaged).toContain(ada.email);
});

test('a slow response to a tab whose session was revoked does not undo the sign-in of another tab', async () => {
  const service = await start();
  await service.welcome();
  const browser = browserOf(service);
  await signIn(browser);
  await service.database.query('update sessions set revoked_at = now()');
  const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  await signIn(browser);
  for (const path of ['/devices', '/sign-in', '/register', '/sign-out']) {
    await browser.open(path, { cookie });
    expect((await browser.open('/devices')).heading, path).toBe('Your devices');
  }
});
