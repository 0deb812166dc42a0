import { describe, expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { browserOf, pathOfLink, type TestBrowser } from '../support/page.ts';
import { ada, bob } from '../support/people.ts';
import { start } from '../support/start.ts';

async function withLogin({ asGuest = false } = {}) {
  const service = await start();
  await service.welcome({ ...ada, emailVerified: true });
  const { auth, devices } = service.clients('grpc');
  const guest = asGuest ? await auth.signUpAnonymous({}) : undefined;
  const anonRefreshToken = guest?.tokens?.refreshToken ?? '';
  const login = await devices.startCliLogin({ clientName: 'Engine CLI', anonRefreshToken });
  const { pollingCode } = login;
  const poll = () => {
    // Not before the interval has passed.
    service.pass(6);
    return devices.pollCliLogin({ pollingCode });
  };
  return { service, devices, guest, login, poll, path: pathOfLink(login.loginUrl), browser: browserOf(service) };
}

/** Signs in on the page that the browser shows. */
async function signIn(browser: TestBrowser, { email, password } = ada) {
  const { form } = await browser.open(browser.at);
  return browser.post('/sign-in', { ...form!, email, password });
}

describe('a login of a command line tool', () => {
  test('is approved on its page, after a sign-in that keeps the link; opening the link decides nothing', async () => {
    const { login, poll, path, browser } = await withLogin();
    for (const method of ['HEAD', 'GET']) await browser.open(path, {}, method);
    expect(browser.at).toBe(`/sign-in?next=${encodeURIComponent(path)}`);
    const page = await signIn(browser);
    expect(browser.at).toBe(path);
    expect(page.heading).toBe('Sign in a device?');
    for (const shown of [login.comparisonNumber, 'Engine CLI', '127.0.0.1', 'signed in as ada@example.org'])
      expect(page.text).toContain(shown);
    for (const method of ['HEAD', 'GET']) await browser.open(path, {}, method);
    expect((await poll()).state).toBe(LoginState.PENDING);
    expect((await browser.post('/cli', { ...page.form!, decision: 'approve' })).heading).toBe('Approved');
    const { state, user } = await poll();
    expect([state, user!.email]).toEqual([LoginState.APPROVED, ada.email]);
    const again = await browser.post('/cli', { ...page.form!, decision: 'approve' });
    expect(again).toMatchObject({ heading: 'This request cannot be found', alert: expect.stringContaining('decided') });
  });

  test('is denied on its page', async () => {
    const { poll, path, browser } = await withLogin();
    await browser.open(path);
    const { form } = await signIn(browser);
    expect((await browser.post('/cli', { ...form!, decision: 'deny' })).heading).toBe('Denied');
    expect((await poll()).state).toBe(LoginState.DENIED);
  });

  test('is not decided by a page that another user was shown', async () => {
    const { service, poll, path, browser } = await withLogin();
    await service.clients('json').auth.register(bob);
    await browser.open(path);
    const { form } = await signIn(browser);
    await browser.post('/sign-out', (await browser.open('/sign-out')).form!);
    await browser.open(path);
    await signIn(browser, bob);
    const refused = await browser.post('/cli', { ...form!, decision: 'approve' });
    expect(refused).toMatchObject({ status: 403, alert: expect.stringContaining('somebody else') });
    expect(refused.text).toContain('signed in as bob@example.org');
    expect((await poll()).state).toBe(LoginState.PENDING);
    const other = browserOf(service);
    await other.open(path);
    await signIn(other, bob);
    expect((await other.post('/cli', { ...form!, decision: 'deny' })).status).toBe(403);
    expect((await poll()).state).toBe(LoginState.PENDING);
  });

  test('keeps its link on every way to the sign-in', async () => {
    const { path, browser } = await withLogin();
    await browser.open(path);
    for (const step of ['/register', '/sign-in', '/forgot-password', '/sign-in']) {
      const { text } = await browser.open(browser.at);
      const href = new RegExp(`href="(${step}\\?[^"]*)"`).exec(text)![1]!.replaceAll('&amp;', '&');
      await browser.open(href);
      expect(browser.at).toBe(`${step}?next=${encodeURIComponent(path)}`);
    }
    expect((await signIn(browser)).heading).toBe('Sign in a device?');
  });

  test('lets its guest register, who keeps what they have', async () => {
    const { guest, poll, path, browser } = await withLogin({ asGuest: true });
    const welcome = await browser.open(path);
    expect(welcome.heading).toBe('Keep your work');
    const { form } = await browser.post('/cli', { ...welcome.form!, decision: 'claim' });
    expect(browser.at).toBe(`/register?next=${encodeURIComponent(path)}`);
    const { email, password } = bob;
    const page = await browser.post('/register', { ...form!, email, password });
    expect(page.heading).toBe('Sign in a device?');
    expect(page.text).not.toContain('What happens to that work');
    const done = await browser.post('/cli', { ...page.form!, decision: 'approve' });
    expect(done.heading).toMatch(/^(Approved|Sign in a device\?)$/);
    if (done.heading === 'Approved') expect((await poll()).user!.id).toBe(guest!.user!.id);
    else expect(done.alert).toContain('Verify your e-mail address');
  });

  test('asks a user what happens to the work of the guest', async () => {
    const { service, guest, poll, path, browser } = await withLogin({ asGuest: true });
    await browser.open(`/sign-in?next=${encodeURIComponent(path)}`);
    const page = await signIn(browser);
    expect(page.text).toContain('What happens to that work');
    expect((await browser.post('/cli', { ...page.form!, guest: 'merge', decision: 'approve' })).heading).toBe(
      'Approved',
    );
    expect((await poll()).user!.email).toBe(ada.email);
    const guests = await service.database.query('select 1 from users where id = $1 and deleted_at is null', [
      guest!.user!.id,
    ]);
    expect(guests).toHaveLength(0);
  });

  test('an expired link is explained, also to a browser that is not signed in', async () => {
    const { service, path, browser } = await withLogin();
    service.pass(7201);
    const page = await browser.open(path);
    expect(page).toMatchObject({
      heading: 'This request cannot be found',
      alert: expect.stringContaining('has expired'),
    });
  });

  test('a guest claimed a second time is explained', async () => {
    const { service, path, browser } = await withLogin({ asGuest: true });
    const { form } = await browser.open(path);
    const other = browserOf(service);
    await other.post('/cli', { ...(await other.open(path)).form!, decision: 'claim' });
    const second = await browser.post('/cli', { ...form!, decision: 'claim' });
    expect(second.alert).toContain('taken over before');
  });
});
