import { expect, test } from 'vitest';
import { mailsTo } from '../support/inbox.ts';
import { browserOf, type TestBrowser } from '../support/page.ts';
import { ada, asService, bob } from '../support/people.ts';
import { send } from '../support/raw-http.ts';
import { start, type TestService } from '../support/start.ts';

async function withAda(env: Record<string, string> = {}) {
  const service = await start({ env });
  const { user } = await service.welcome();
  return { service, user, browser: browserOf(service) };
}

async function signIn(browser: TestBrowser, person = ada, next = '') {
  const { form } = await browser.open(`/sign-in?next=${encodeURIComponent(next)}`);
  return browser.post('/sign-in', { ...form!, email: person.email, password: person.password });
}

function liveSessions({ database }: TestService) {
  return database.query(`select kind, user_agent from sessions where revoked_at is null order by created_at`);
}

test('a browser signs in, and its tokens are in cookies that no script and no other host can read', async () => {
  const { service, browser } = await withAda({ PUBLIC_URL: 'https://gatehouse.test' });
  const { form } = await browser.open('/sign-in');
  const fields = { ...form!, email: ada.email, password: ada.password };
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' };
  const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const body = new URLSearchParams(fields).toString();
  const answer = await send(service.replicas[0]!.httpPort, { path: '/sign-in', body, headers: { ...headers, cookie } });
  expect(answer).toMatchObject({ status: 303, text: '', headers: { location: '/devices' } });
  const set = answer.headers['set-cookie']!;
  expect(set.map((each) => each.replace(/=[^;]+/, '=...'))).toEqual([
    '__Host-gatehouse-session=...; Path=/; HttpOnly; SameSite=Lax; Secure',
    '__Host-gatehouse-access=...; Path=/; HttpOnly; SameSite=Lax; Secure',
  ]);
});

test('a wrong password is refused; the address stays in the form, the password does not', async () => {
  const { browser } = await withAda();
  const refused = await signIn(browser, { ...ada, password: 'not her password' });
  expect(refused).toMatchObject({
    status: 401,
    alert: 'The e-mail address or the password is not correct.',
    form: { email: ada.email, password: '' },
  });
  expect(refused.text).not.toContain('not her password');
  expect((await signIn(browser)).heading).toBe('Your devices');
});

test('after the sign-in comes the page that asked for it, and never a page of another site', async () => {
  const { browser } = await withAda();
  await signIn(browser, ada, '/device?user_code=BCDF-GHJK');
  expect(browser.at).toBe('/device?user_code=BCDF-GHJK');
  for (const next of [
    'https://evil.example/',
    '//evil.example/devices',
    '/\\evil.example',
    '/devices@evil.example',
    '/device?x=1#//evil.example',
    '/device\n/evil',
    'javascript:alert(1)',
  ]) {
    await browser.open(`/sign-in?next=${encodeURIComponent(next)}`);
    expect(browser.at, next).toBe('/devices');
  }
});

test('a form works in the browser that was shown it, and for the user who was signed in then', async () => {
  const { service, browser } = await withAda();
  await service.clients('json').auth.register(bob);
  const { form } = await browserOf(service).open('/sign-in');
  const credentials = { email: ada.email, password: ada.password };
  // The browser has a cookie of its own, which is in its own forms.
  await browser.open('/sign-in');
  const attackers = await browser.post('/sign-in', { ...form!, ...credentials });
  expect(attackers).toMatchObject({ status: 403, alert: expect.stringContaining('out of date') });
  for (const form_token of ['', 'x', 'A'.repeat(43)])
    expect((await browser.post('/sign-in', { ...credentials, form_token })).status, form_token).toBe(403);
  await signIn(browser);
  const devices = await browser.open('/devices');
  await browser.post('/sign-out', (await browser.open('/sign-out')).form!);
  await signIn(browser, bob);
  const before = await liveSessions(service);
  expect((await browser.post('/devices', devices.form!)).status, "the form of ada's page").toBe(403);
  expect(await liveSessions(service)).toEqual(before);
});

test('a form of another site is refused', async () => {
  const { service, browser } = await withAda();
  await signIn(browser);
  const { form } = await browser.open('/sign-out');
  const before = await liveSessions(service);
  for (const headers of [{ origin: 'http://evil.example' }, { 'sec-fetch-site': 'cross-site' }, { origin: 'null' }])
    expect((await browser.post('/sign-out', form!, headers)).status).toBe(403);
  expect(await liveSessions(service)).toEqual(before);
});

/** With the second kind of metadata the access token is too large for a cookie, and each visit refreshes. */
const sizes = [
  ['small', {}],
  ['large', { notes: 'x'.repeat(4000) }],
] as const;

test.each(sizes)(
  'a browser with %s tokens that loses the response to a refresh stays signed in',
  async (_, userMetadata) => {
    const { service, browser, user } = await withAda({ ACCESS_TOKEN_LIFETIME: '60' });
    await service.clients('json').admin.updateUser({ userId: user.id, userMetadata }, asService);
    await signIn(browser);
    service.pass(61);
    const stale = new Map(browser.cookies);
    await browser.open('/devices');
    const refreshed = new Map(browser.cookies);
    expect(refreshed.get('gatehouse-session')).not.toBe(stale.get('gatehouse-session'));
    service.pass(50);
    for (const [name, value] of stale) browser.cookies.set(name, value);
    expect((await browser.open('/devices')).heading).toBe('Your devices');
    expect(browser.cookies.get('gatehouse-session'), 'the same successor').toBe(refreshed.get('gatehouse-session'));
    service.pass(61);
    expect((await browser.open('/devices')).heading).toBe('Your devices');
  },
);

test.each(sizes)(
  'twenty pages at once with %s tokens, of which the access token has expired, stay signed in',
  async (_, userMetadata) => {
    const { service, browser, user } = await withAda({ ACCESS_TOKEN_LIFETIME: '60' });
    await service.clients('json').admin.updateUser({ userId: user.id, userMetadata }, asService);
    await signIn(browser);
    service.pass(61);
    const pages = await Promise.all(Array.from({ length: 20 }, () => browser.open('/devices')));
    expect(new Set(pages.map(({ heading }) => heading))).toEqual(new Set(['Your devices']));
    service.pass(61);
    expect((await browser.open('/devices')).heading).toBe('Your devices');
  },
);

test('after a revocation the page asks to sign in, and the sign-in replaces the cookies', async () => {
  const { service, browser } = await withAda();
  await signIn(browser);
  await service.database.query('update sessions set revoked_at = now()');
  expect((await browser.open('/devices')).heading).toBe('Sign in');
  expect(browser.at).toBe('/sign-in?next=%2Fdevices');
  const dead = new Map(browser.cookies);
  expect((await signIn(browser, ada, '/devices')).heading).toBe('Your devices');
  expect([...browser.cookies.keys()].sort()).toEqual(['gatehouse-access', 'gatehouse-browser', 'gatehouse-session']);
  for (const name of ['gatehouse-access', 'gatehouse-session'])
    expect(browser.cookies.get(name), name).not.toBe(dead.get(name));
  await browser.post('/sign-out', (await browser.open('/sign-out')).form!);
  expect([...browser.cookies.keys()]).toEqual(['gatehouse-browser']);
});

test('a sign-out asks first, and revokes the session', async () => {
  const { service, browser } = await withAda();
  await signIn(browser);
  const count = (await liveSessions(service)).length;
  const page = await browser.open('/sign-out?next=%2Fdevice%3Fuser_code%3DBCDF-GHJK');
  expect(page.heading).toBe('Sign out');
  expect(await liveSessions(service)).toHaveLength(count);
  expect((await browser.post('/sign-out', page.form!)).heading).toBe('Sign in');
  expect(browser.at).toBe('/sign-in?next=%2Fdevice%3Fuser_code%3DBCDF-GHJK');
  expect(await liveSessions(service)).toHaveLength(count - 1);
});

test('a second sign-in in one browser leaves no session behind', async () => {
  const { service, browser } = await withAda();
  const { form } = await browser.open('/sign-in');
  const fields = { ...form!, email: ada.email, password: ada.password };
  await browser.post('/sign-in', fields);
  const count = (await liveSessions(service)).length;
  // Back, and the form again: it was shown while nobody was signed in.
  expect((await browser.post('/sign-in', fields)).status).toBe(403);
  await browser.post('/sign-out', (await browser.open('/sign-out')).form!);
  await signIn(browser);
  expect(await liveSessions(service)).toHaveLength(count);
});

test('no cookie authenticates a method', async () => {
  const { service, browser } = await withAda();
  await signIn(browser);
  const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const answer = await send(service.replicas[0]!.httpPort, {
    path: '/gatehouse.v1.AuthService/GetMe',
    body: '{}',
    headers: { cookie, authorization: 'Bearer nothing' },
  });
  expect(answer).toMatchObject({ status: 401, reason: 'TOKEN_INVALID' });
});

test('a user registers, and a refused registration is explained', async () => {
  const { browser } = await withAda();
  const { form } = await browser.open('/register?next=%2Fdevice');
  const taken = await browser.post('/register', { ...form!, email: ada.email, password: bob.password });
  expect(taken).toMatchObject({ status: 409, alert: expect.stringContaining('There is an account') });
  const weak = await browser.post('/register', { ...form!, ...bob, password: 'password' });
  expect(weak).toMatchObject({
    alert: expect.stringContaining('many people use'),
    form: { email: bob.email, password: '' },
  });
  const code = await browser.post('/register', { ...form!, ...bob, invite_code: 'no-such-code' });
  expect(code.alert).toBe('This invite code is not valid.');
});

test('the page for a forgotten password gives the same answer for every address', async () => {
  const { browser } = await withAda();
  const { form } = await browser.open('/forgot-password');
  const answers = [];
  for (const email of [ada.email, 'nobody@example.org'])
    answers.push((await browser.post('/forgot-password', { ...form!, email })).text);
  expect(answers[0]).toContain('the link is on its way');
  expect(answers[1]).toBe(answers[0]);
});

test('the page of devices signs one of them out, or all others', async () => {
  const { service, browser } = await withAda();
  await signIn(browser);
  const page = await browser.open('/devices');
  expect([...page.text.matchAll(/<li>/g)]).toHaveLength(2);
  const token = page.form!.form_token!;
  const [other] = await service.database.query<{ id: string }>('select id from sessions order by created_at limit 1');
  const after = await browser.post('/devices', { form_token: token, session_id: other!.id });
  expect([...after.text.matchAll(/<li>/g)]).toHaveLength(1);
  await service.signIn();
  await service.signIn();
  expect([...(await browser.open('/devices')).text.matchAll(/<li>/g)]).toHaveLength(3);
  const last = await browser.post('/devices', { form_token: token });
  expect([...last.text.matchAll(/<li>/g)]).toHaveLength(1);
  expect(last.text).toContain('this browser');
});

test('a user who must change their password is led to a new one from every page', async () => {
  const service = await start();
  await service.clients('json').admin.createUser({ ...bob, emailVerified: true, mustChangePassword: true }, asService);
  const browser = browserOf(service);
  const page = await signIn(browser, bob, '/device?user_code=BCDF-GHJK');
  expect(browser.at).toBe('/forgot-password?next=%2Fdevice%3Fuser_code%3DBCDF-GHJK');
  expect(page).toMatchObject({ heading: 'Forgot your password?', form: { email: bob.email } });
  expect(page.text).toContain('You must choose a new password');
  for (const path of [
    '/devices',
    '/sign-in',
    '/device?user_code=BCDF-GHJK',
    '/cli?login_code=x',
    '/login?auth_code=x',
  ]) {
    await browser.open(path);
    expect(browser.at, path).toMatch(/^\/forgot-password\?next=/);
  }
});

test('a registration in a browser where another user has signed in meanwhile ends the session of that user', async () => {
  const { service, browser } = await withAda();
  const { form } = await browser.open('/register');
  await signIn(browser);
  const before = (await liveSessions(service)).length;
  const refused = await browser.post('/register', { ...form!, ...bob });
  expect(refused.status).toBe(403);
  await browser.post('/register', { ...refused.form!, ...bob });
  const mails = await mailsTo(service, bob.email);
  expect(mails.map(({ subject }) => subject)).toEqual(['Verify your e-mail address']);
  expect((await liveSessions(service)).length).toBeLessThanOrEqual(before);
});

test('a sign-out in a second tab leads to the sign-in as well', async () => {
  const { browser } = await withAda();
  await signIn(browser);
  const { form } = await browser.open('/sign-out');
  for (const tab of ['first', 'second']) expect((await browser.post('/sign-out', form!)).heading, tab).toBe('Sign in');
  expect((await browser.open('/sign-out')).heading).toBe('Sign in');
});

test('a registration with values that cannot be used says so', async () => {
  const { browser } = await withAda();
  const { form } = await browser.open('/register');
  const long = await browser.post('/register', { ...form!, ...bob, password: 'x'.repeat(1100) });
  expect(long.alert).toContain('This password cannot be used');
  const named = await browser.post('/register', { ...form!, ...bob, name: 'x'.repeat(201) });
  expect(named.alert).toContain('Something in this form cannot be used');
});

test('an old API key is listed beside more than a page of revoked ones', async () => {
  const { service, browser } = await withAda();
  await signIn(browser);
  const { devices } = service.clients('json');
  await service.database.query('update users set email_verified_at = now()');
  const { as } = await service.signIn();
  await devices.createApiKey({ name: 'the oldest key' }, as);
  await service.database.query(`
    insert into api_keys (id, project_id, user_id, hash, prefix, name, scopes, created_at, expires_at, revoked_at)
    select ('fff00000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, project_id, user_id, sha256(n::text::bytea), prefix, 'old',
      scopes, created_at, expires_at, now() from api_keys, generate_series(1, 120) n`);
  expect((await browser.open('/devices')).text).toContain('the oldest key');
});
