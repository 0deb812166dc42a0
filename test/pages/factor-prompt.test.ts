import { describe, expect, test } from 'vitest';
import { enterPassword, hrefOf, nextCode, signInWithApp, submit, withFactor } from '../support/factor-pages.ts';
import { lastMail, mailsTo } from '../support/inbox.ts';
import { browserOf, pathOfLink } from '../support/page.ts';
import { ada, bob } from '../support/people.ts';
import { start, type TestService } from '../support/start.ts';

const title = 'Confirm that it is you';

async function countChallenges({ database }: TestService): Promise<number> {
  const [row] = await database.query<{ count: string }>('select count(*) from challenges');
  return Number(row!.count);
}

describe('after a sign-in of a user with a factor', () => {
  test('comes the factor, and then the page that asked for the sign-in', async () => {
    const { service, browser, secret } = await withFactor();
    const next = '/device?user_code=BCDF-GHJK';
    const prompt = await enterPassword(browser, next);
    expect(prompt).toMatchObject({ heading: title, status: 200 });
    expect(browser.at).toBe(`/factor?next=${encodeURIComponent(next)}`);
    expect(prompt.text).toContain('inputmode="numeric"');
    expect(prompt.text).toContain('autocomplete="one-time-code"');
    const code = nextCode(service, secret);
    const wrong = code.replace(/^./, (digit) => `${(Number(digit) + 1) % 10}`);
    const refused = await submit(browser, prompt.text, ['code'], { code: wrong });
    expect(refused).toMatchObject({ status: 400, alert: expect.stringContaining('not correct') });
    await submit(browser, refused.text, ['code'], { code: `${code.slice(0, 3)} ${code.slice(3)}` });
    expect(browser.at).toBe(next);
  });

  test.each(['/devices', '/factors', '/device?user_code=BCDF-GHJK', '/cli?login_code=x', '/login?auth_code=x'])(
    'the page %s leads to the factor',
    async (page) => {
      const { browser } = await withFactor();
      await enterPassword(browser);
      expect((await browser.open(page)).heading).toBe(title);
      expect(browser.at).toBe(`/factor?next=${encodeURIComponent(page)}`);
    },
  );

  test('a recovery code does as well, once, and the choice survives a reload', async () => {
    const { browser, codes } = await withFactor();
    const { text } = await enterPassword(browser);
    const href = hrefOf(text, 'recovery code');
    for (const _ of ['first', 'reload'])
      expect((await browser.open(href)).text).toContain('Enter one of your recovery codes');
    const chosen = await browser.open(href);
    const done = await submit(browser, chosen.text, ['code'], { code: codes[0]!.toLowerCase() });
    expect(done.heading).toBe('Your devices');
    const factors = await browser.open('/factors');
    expect(factors.text).toContain('9 codes are left');
  });

  test('reloads begin no attempt and send no mail; another account leads to the sign-in', async () => {
    const { service, browser } = await withFactor();
    await service.welcome(bob);
    const prompt = await enterPassword(browser);
    const before = { mails: (await mailsTo(service, ada.email)).length, challenges: await countChallenges(service) };
    for (const _ of ['one', 'two', 'three']) expect((await browser.open(browser.at)).heading).toBe(title);
    expect({ mails: (await mailsTo(service, ada.email)).length, challenges: await countChallenges(service) }).toEqual(
      before,
    );
    expect((await browser.open('/sign-in?next=%2Fdevices')).heading, 'Back').toBe('Sign in');
    const abandoned = browser.cookies.get('gatehouse-session')!;
    const signIn = await browser.post('/sign-out', formOfOtherUser(prompt.text));
    expect([signIn.heading, browser.at]).toEqual(['Sign in', '/sign-in?next=%2Fdevices']);
    const { email, password } = bob;
    const done = await browser.post('/sign-in', { ...signIn.form!, email, password });
    expect(done.text).toContain('signed in as bob@example.org');
    const refreshed = service.clients('grpc').sessions.refresh({ refreshToken: abandoned });
    await expect(refreshed).rejects.toThrow();
  });

  test.each(['device', 'cli', 'login'] as const)('a pending request (%s) goes on, undecided', async (kind) => {
    const { service, clients, browser, secret } = await withFactor();
    const { devices } = clients;
    const links = {
      device: async () => (await devices.requestDeviceCode({})).verificationUriComplete,
      cli: async () => (await devices.startCliLogin({})).loginUrl,
      login: async () => (await devices.startFingerprintLogin({ fingerprintId: 'a-machine' })).loginUrl,
    };
    const path = pathOfLink(await links[kind]());
    await browser.open(path);
    for (const step of ['Create an account', 'existing account', 'Forgot', 'Back to the sign-in'])
      await browser.open(hrefOf((await browser.open(browser.at)).text, step));
    const prompt = await browser.post('/sign-in', { ...(await browser.open(browser.at)).form!, ...ada });
    const recovery = await browser.open(hrefOf(prompt.text, 'recovery code'));
    const back = await browser.open(hrefOf(recovery.text, 'authenticator app'));
    const confirm = await submit(browser, back.text, ['code'], { code: nextCode(service, secret) });
    expect(browser.at).toBe(path);
    expect(confirm.heading).toBe('Sign in a device?');
    expect((await browser.post(`/${kind}`, { ...confirm.form!, decision: 'approve' })).heading).toBe('Approved');
  });
});

function formOfOtherUser(text: string): Record<string, string> {
  const inner = /<form method="post" action="\/sign-out">(.*?)<\/form>/s.exec(text)![1]!;
  const fields = [...inner.matchAll(/name="([^"]*)" value="([^"]*)"/g)].map(([, name, value]) => [name, value]);
  return Object.fromEntries(fields);
}

test('the factor is asked for again by a page whose session lost it', async () => {
  const { service, browser, secret } = await withFactor();
  await signInWithApp({ service, browser, secret });
  await service.database.query('update sessions set aal = 1, factor_id = null');
  service.pass(61);
  expect((await browser.open('/devices')).heading).toBe(title);
});

test('a user without factors is not asked for one', async () => {
  const service = await start();
  await service.welcome();
  const browser = browserOf(service);
  expect((await enterPassword(browser)).heading).toBe('Your devices');
  expect((await browser.open('/factor?next=%2Ffactors')).heading).toBe('Second factors');
});

describe('a reset link of a user with a factor', () => {
  test('leads through the factor to the new password, and the refusal uses nothing up', async () => {
    const { service, browser, secret } = await withFactor();
    const forgotten = await browser.open('/forgot-password?next=%2Fdevice%3Fuser_code%3DBCDF-GHJK');
    await browser.post('/forgot-password', { ...forgotten.form!, email: ada.email });
    const { link } = await lastMail(service, ada.email);
    const page = await browser.open(pathOfLink(link));
    expect(page.text).toContain('has a second factor');
    expect(page.form).toMatchObject({ account: ada.email });
    const prompt = await browser.post('/reset-password', page.form!);
    expect(prompt.heading).toBe(title);
    expect((await browser.open('/new-password')).heading, 'before the factor').toBe(title);
    const form = await submit(browser, prompt.text, ['code'], { code: nextCode(service, secret) });
    expect([form.heading, browser.at]).toEqual(['Choose a new password', '/new-password']);
    const weak = await submit(browser, form.text, ['password'], { password: 'password' });
    expect(weak.alert).toContain('many people use');
    const password = 'quite another sentence';
    const done = await submit(browser, weak.text, ['password'], { password });
    expect(done.heading).toBe('Your new password is saved');
    expect(hrefOf(done.text, 'Continue')).toBe('/device?user_code=BCDF-GHJK');
    expect((await browser.open('/devices')).heading).toBe('Your devices');
    await service.clients('grpc').auth.signIn({ email: ada.email, password });
  });

  test('leads there also from a form that was shown before the factor was enrolled', async () => {
    const { service, browser } = await withFactor();
    const { auth } = service.clients('grpc');
    await auth.requestPasswordReset({ email: ada.email });
    const { token } = await lastMail(service, ada.email);
    const prompt = await browser.post('/reset-password', { token, password: 'quite another sentence' });
    expect(prompt.heading).toBe(title);
    await auth.signIn(ada);
  });

  test('is not needed by a session that no reset link has opened', async () => {
    const { service, browser, secret } = await withFactor();
    await signInWithApp({ service, browser, secret });
    const { text } = await browser.open('/new-password');
    const refused = await submit(browser, text, ['password'], { password: 'quite another sentence' });
    expect(refused.heading).toBe('Forgot your password?');
    await service.clients('grpc').auth.signIn(ada);
  });
});

test('an action asks for a factor first, and a refused one is not performed', async () => {
  const { service, clients, browser, secret } = await withFactor();
  await signInWithApp({ service, browser, secret });
  const { deviceCode, verificationUriComplete } = await clients.devices.requestDeviceCode({ clientName: 'TV' });
  const confirm = await browser.open(pathOfLink(verificationUriComplete));
  await service.database.query('update sessions set aal = 1, factor_id = null');
  service.pass(61);
  const prompt = await browser.post('/device', { ...confirm.form!, decision: 'approve' });
  expect(prompt.heading).toBe(title);
  expect(prompt.text).toContain('Sign in a device as you: TV');
  await expect(clients.devices.pollDeviceToken({ deviceCode })).rejects.toThrow('authorized yet');
  const done = await submit(browser, prompt.text, ['code'], { code: nextCode(service, secret) });
  expect(done.heading).toBe('Approved');
  expect((await clients.devices.pollDeviceToken({ deviceCode })).user!.email).toBe(ada.email);
});
