import { describe, expect, test } from 'vitest';
import { codeOf } from '../support/authenticator.ts';
import { enterPassword, formOf, hrefOf, nextCode, signInWithApp, submit, withFactor } from '../support/factor-pages.ts';
import { browserOf, type SeenPage, type TestBrowser } from '../support/page.ts';
import { ada } from '../support/people.ts';
import { start } from '../support/start.ts';

const title = 'Confirm that it is you';

/** Ada without factors, signed in on the page of factors. */
async function withoutFactor() {
  const service = await start();
  await service.welcome({ ...ada, emailVerified: true });
  const browser = browserOf(service);
  return { service, browser, page: await enterPassword(browser, '/factors') };
}

/** Ada signed in with her app, on the page of factors. */
async function onFactors() {
  const prepared = await withFactor();
  return { ...prepared, page: await signInWithApp(prepared, '/factors') };
}

function keyOf({ text }: SeenPage): string {
  return /class="key">([^<]*)</.exec(text)![1]!.replaceAll(' ', '');
}

function codesOf({ text }: SeenPage): string[] {
  return [...text.matchAll(/<li>([0-9A-Z-]{23})<\/li>/g)].map(([, code]) => code!);
}

async function remaining(browser: TestBrowser): Promise<string | undefined> {
  return /(\d+|One|No) codes? (is|are) left/.exec((await browser.open('/factors')).text)?.[1];
}

test('an action that the page does not know changes nothing', async () => {
  const { service, browser, page, factorId } = await onFactors();
  const { path, fields } = formOf(page.text, 'do', 'remove');
  const refused = await browser.post(path, { ...fields, do: 'constructor', factor_id: factorId });
  expect(refused.status).toBeGreaterThanOrEqual(400);
  expect(await service.database.query("select id from factors where type = 'totp'")).toHaveLength(1);
});

describe('an authenticator app', () => {
  test('is added with a key that reloads show again, and a second tab stays signed in', async () => {
    const { service, browser, page } = await withoutFactor();
    expect(page.text).toContain('You have no second factor.');
    const shown = await submit(browser, page.text, ['do', 'enroll'], { name: 'phone' });
    expect(shown.heading).toBe('Add an authenticator app');
    expect(shown.text).toContain('<svg ');
    const secret = keyOf(shown);
    expect(keyOf(await browser.open(browser.at)), 'reload').toBe(secret);
    const again = await submit(browser, page.text, ['do', 'enroll'], { name: 'phone' });
    expect(keyOf(again), 'Back, and the form again').toBe(secret);
    const refused = await submit(browser, shown.text, ['code'], { code: '000000' });
    expect(refused.alert).toContain('not correct');
    expect(keyOf(refused)).toBe(secret);
    const done = await submit(browser, refused.text, ['code'], { code: codeOf(secret, service.now()) });
    expect([done.heading, browser.at]).toEqual(['Second factors', '/factors']);
    expect(done.text).toContain('phone');
    expect(browser.cookies.has('gatehouse-enrolment')).toBe(false);
    for (const path of ['/factors', `/factors?enrolment=x`, '/devices'])
      expect((await browser.open(path)).status, path).toBe(200);
    expect(browser.at).toBe('/devices');
    expect(hrefOf((await browser.open('/devices')).text, 'Second factors')).toBe('/factors');
  });

  test('keeps its key to itself once it was verified, also from a browser that has the cookie still', async () => {
    const { service, browser, page } = await withoutFactor();
    const shown = await submit(browser, page.text, ['do', 'enroll'], { name: 'phone' });
    const [at, cookie] = [browser.at, browser.cookies.get('gatehouse-enrolment')!];
    const code = codeOf(keyOf(shown), service.now());
    await submit(browser, shown.text, ['code'], { code });
    browser.cookies.set('gatehouse-enrolment', cookie);
    expect((await browser.open(at)).heading).toBe('Second factors');
    expect(browser.at).toBe('/factors');
  });

  test('is removed, and nothing is left to ask for', async () => {
    const { browser, page } = await onFactors();
    expect(page.text).toContain('phone');
    const done = await submit(browser, page.text, ['do', 'remove']);
    expect(done.text).toContain('You have no second factor.');
    await browser.post('/sign-out', (await browser.open('/sign-out')).form!);
    expect((await enterPassword(browser)).heading).toBe('Your devices');
  });

  test('is added once by a double click, whose second request has no cookie of the first', async () => {
    const { service, browser, page } = await withoutFactor();
    await submit(browser, page.text, ['do', 'enroll'], { name: 'phone' });
    browser.cookies.delete('gatehouse-enrolment');
    const shown = await submit(browser, page.text, ['do', 'enroll'], { name: 'phone' });
    expect(shown.heading).toBe('Add an authenticator app');
    const done = await submit(browser, shown.text, ['code'], { code: codeOf(keyOf(shown), service.now()) });
    expect(done.heading).toBe('Second factors');
    expect(await service.database.query('select verified_at is not null as "isVerified" from factors')).toEqual([
      { isVerified: true },
    ]);
  });

  test('with the name of another one is refused', async () => {
    const { browser, page } = await onFactors();
    const refused = await submit(browser, page.text, ['do', 'enroll'], { name: 'phone' });
    expect(refused.alert).toContain('with this name');
  });
});

describe('recovery codes', () => {
  test('are created by an explicit form that says what happens, and by no page that is opened', async () => {
    const { service, clients, browser, page, codes } = await onFactors();
    expect(page.text).toContain('10 codes are left');
    expect(page.text).toContain('stop working when you create new ones');
    for (const path of ['/factors', '/factors?do=codes', '/factors?codes=created']) await browser.open(path);
    await browser.open('/factors', {}, 'HEAD');
    const other = browserOf(service);
    const prompt = await other.open(hrefOf((await enterPassword(other)).text, 'recovery code'));
    await submit(other, prompt.text, ['code'], { code: codes[0]! });
    expect(await remaining(other), 'a code of the first set works').toBe('9');
    const created = await submit(browser, page.text, ['do', 'codes']);
    const fresh = codesOf(created);
    expect(new Set(fresh).size).toBe(10);
    const file = Buffer.from(/base64,([^"]*)" download/.exec(created.text)![1]!, 'base64').toString();
    for (const code of fresh) expect(file).toContain(code);
    expect(fresh).not.toContain(codes[1]);
    expect(clients).toBeDefined();
  });

  test('are not replaced by a reload of the page that shows them', async () => {
    const { browser, page } = await onFactors();
    const [code] = codesOf(await submit(browser, page.text, ['do', 'codes']));
    const again = await submit(browser, page.text, ['do', 'codes']);
    expect(again.alert).toContain('were created before');
    expect(codesOf(again)).toEqual([]);
    await browser.post('/sign-out', (await browser.open('/sign-out')).form!);
    const prompt = await browser.open(hrefOf((await enterPassword(browser)).text, 'recovery code'));
    expect((await submit(browser, prompt.text, ['code'], { code: code! })).heading).toBe('Your devices');
  });
});

/** The session of the browser authenticated long ago. */
async function stale() {
  const prepared = await onFactors();
  prepared.service.pass(601);
  return prepared;
}

describe('an action with a stale session', () => {
  test('is named, survives a reload, another factor and Back, and is performed once', async () => {
    const { service, browser, secret, page, codes, factorId } = await stale();
    const prompt = await submit(browser, page.text, ['do', 'remove']);
    expect(prompt.heading).toBe(title);
    const at = browser.at;
    expect(hrefOf(prompt.text, 'Cancel')).toBe('/factors');
    const recovery = hrefOf(prompt.text, 'recovery code');
    for (const address of [at, recovery, recovery, at]) {
      const shown = await browser.open(address);
      expect(shown.text).toContain('Remove the factor “phone”');
    }
    const chosen = await browser.open(recovery);
    const wrong = await submit(browser, chosen.text, ['code'], { code: '0000' });
    expect(wrong.text).toContain('Remove the factor “phone”');
    const done = await submit(browser, wrong.text, ['code'], { code: codes[0]! });
    expect([done.heading, browser.at]).toEqual(['Second factors', '/factors']);
    expect(await service.database.query(`select id from factors where id = '${factorId}'`)).toEqual([]);
    const second = await submit(browser, wrong.text, ['code'], { code: nextCode(service, secret) });
    expect(second).toMatchObject({ status: 409, heading: 'Nothing was changed' });
  });

  test('creates one set of codes', async () => {
    const { service, browser, secret, page } = await stale();
    const prompt = await submit(browser, page.text, ['do', 'codes']);
    expect(prompt.text).toContain('Create new recovery codes');
    const { path, fields } = formOf(prompt.text, 'code');
    const code = nextCode(service, secret);
    expect(codesOf(await browser.post(path, { ...fields, code }))).toHaveLength(10);
    const before = await service.database.query('select hash from recovery_codes order by id');
    const next = nextCode(service, secret);
    expect((await browser.post(path, { ...fields, code: next })).heading).toBe('Nothing was changed');
    expect(await service.database.query('select hash from recovery_codes order by id')).toEqual(before);
  });

  test('with another target, or of another session or browser, is refused', async () => {
    const { service, browser, secret, page, factorId } = await stale();
    const prompt = await submit(browser, page.text, ['do', 'remove']);
    const { fields } = formOf(prompt.text, 'code');
    const { action } = fields as { action: string };
    const altered = action.replace(/.(?=.{20}$)/, (letter) => (letter === 'A' ? 'B' : 'A'));
    const other = browserOf(service);
    await signInWithApp({ service, browser: other, secret });
    for (const [from, sealed] of [
      [browser, altered],
      [browser, action.slice(0, -4)],
      [browser, ''],
      [browser, 'AAAA'],
      [other, action],
    ] as const) {
      expect((await from.open(`/factor?action=${sealed}`)).heading).toBe('Nothing was changed');
      const code = nextCode(service, secret);
      expect((await from.post('/factor', { ...fields, action: sealed, code })).heading).toBe('Nothing was changed');
    }
    await browser.post('/sign-out', (await browser.open('/sign-out')).form!);
    await signInWithApp({ service, browser, secret });
    expect((await browser.open(`/factor?action=${action}`)).heading, 'another session').toBe('Nothing was changed');
    expect(await service.database.query(`select id from factors where id = '${factorId}'`)).toHaveLength(1);
  });

  test('expires', async () => {
    const { service, browser, page } = await stale();
    await submit(browser, page.text, ['do', 'remove']);
    service.pass(901);
    expect((await browser.open(browser.at)).heading).toBe('Nothing was changed');
  });

  test('asks users without factors for their password', async () => {
    const { service, browser, page } = await withoutFactor();
    service.pass(601);
    const prompt = await submit(browser, page.text, ['do', 'enroll'], { name: 'phone' });
    expect(prompt.text).toContain('Add the authenticator app “phone”');
    const wrong = await submit(browser, prompt.text, ['password'], { password: 'not her password' });
    expect(wrong).toMatchObject({ status: 401, alert: 'The password is not correct.' });
    const shown = await submit(browser, wrong.text, ['password'], { password: ada.password });
    expect(shown.heading).toBe('Add an authenticator app');
    const sessions = await service.database.query('select id from sessions where revoked_at is null');
    expect(sessions).toHaveLength(2);
  });
});

test.each(['no token', 'a made-up token', 'the token of another page'])(
  'a form with %s does nothing',
  async (which) => {
    const { service, browser, secret, page, factorId } = await onFactors();
    const devices = await browser.open('/devices');
    const other = /name="form_token" value="([^"]*)"/.exec(devices.text)![1]!;
    const form_token = { 'no token': '', 'a made-up token': 'A'.repeat(43), 'the token of another page': other }[
      which
    ]!;
    const before = await service.database.query('select id from factors order by id');
    for (const what of ['remove', 'codes', 'enroll', 'enroll-key', 'passkey']) {
      const { path, fields } = formOf(page.text, 'do', what);
      const refused = await browser.post(path, { ...fields, form_token, name: 'tablet' });
      expect(refused.status, what).toBe(403);
    }
    service.pass(601);
    const prompt = await submit(browser, page.text, ['do', 'remove']);
    const { path, fields } = formOf(prompt.text, 'code');
    const refused = await browser.post(path, { ...fields, form_token, code: nextCode(service, secret) });
    expect(refused).toMatchObject({ status: 403, heading: title });
    expect(await service.database.query('select id from factors order by id')).toEqual(before);
    expect(
      await service.database.query('select id from challenges where factor_id = $1 and used_at is null', [factorId]),
    ).toEqual([]);
  },
);

test('guests register first, and users without a verified address verify it', async () => {
  const service = await start();
  const guest = await service.clients('json').auth.signUpAnonymous({});
  const browser = browserOf(service);
  browser.cookies.set('gatehouse-session', guest.tokens!.refreshToken);
  expect((await browser.open('/factors')).heading).toBe('Create an account');
  await service.welcome();
  const other = browserOf(service);
  const page = await enterPassword(other, '/factors');
  const refused = await submit(other, page.text, ['do', 'enroll'], { name: 'phone' });
  expect(refused.alert).toBe('Verify your e-mail address first.');
  expect(hrefOf(refused.text, 'Verify')).toBe('/verification?next=%2Ffactors');
});
