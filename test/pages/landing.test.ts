import { describe, expect, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { mailsTo } from '../support/inbox.ts';
import { linkTo, pathOfLink, registered, visitor } from '../support/page.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

const countess = 'countess@example.org';
const newPassword = 'notes on the engine';

async function forgotten(env: Record<string, string> = {}) {
  const service = await start({ env });
  const { as, user } = await service.welcome();
  await service.clients('json').auth.requestPasswordReset({ email: ada.email });
  return { service, as, user, visit: visitor(service), link: await linkTo(service) };
}

function eventsOf({ database }: TestService, action: string) {
  return database.query('select user_id, result, address, user_agent from audit_events where action = $1', [action]);
}

describe.each(wires)('for clients over %s', (wire) => {
  test('opening the link that verifies an address changes nothing, however often; its button verifies it', async () => {
    const { service, user, visit, link } = await registered();
    const { auth } = service.clients(wire);
    expect(link.path).toMatch(/^\/verify-email\?token=ghot_[\w-]{56}$/);
    const before = await service.database.checksums();
    for (const method of ['GET', 'GET', 'HEAD', 'HEAD'])
      expect((await visit.open(link.path, {}, method)).status, method).toBe(200);
    expect(await service.database.checksums()).toEqual(before);
    const page = await visit.open(link.path);
    expect(page).toMatchObject({ heading: 'Verify your e-mail address', form: { token: link.token } });
    const headers = { 'user-agent': 'Reader/1.0' };
    expect(await visit.post('/verify-email', page.form!, headers)).toMatchObject({
      status: 200,
      heading: 'Your address is verified',
      form: undefined,
    });
    const { as } = await service.signIn();
    expect((await auth.getMe({}, as)).user!.emailVerified).toBe(true);
    expect((await refusalOf(auth.verifyEmail({ token: link.token }))).reason).toBe(
      'VERIFICATION_TOKEN_USED_OR_EXPIRED',
    );
    expect(await eventsOf(service, 'auth.email_verified')).toEqual([
      { user_id: user.id, result: 'SUCCESS', address: '127.0.0.1', user_agent: 'Reader/1.0' },
    ]);
  });

  test('opening the link that confirms a new address changes nothing; its button confirms it', async () => {
    const service = await start();
    const { as } = await service.welcome();
    const { auth } = service.clients(wire);
    await auth.updateMe({ email: countess, currentPassword: ada.password }, as);
    const link = await linkTo(service, countess);
    const visit = visitor(service);
    for (const method of ['HEAD', 'GET', 'GET']) await visit.open(link.path, {}, method);
    expect((await auth.getMe({}, as)).user).toMatchObject({ email: ada.email, pendingEmail: countess });
    const { form } = await visit.open(link.path);
    expect((await visit.post('/confirm-email-change', form!)).heading).toBe('Your new address is confirmed');
    expect((await auth.getMe({}, as)).user).toMatchObject({ email: countess, pendingEmail: '' });
    expect(await visit.post('/confirm-email-change', form!)).toMatchObject({
      status: 410,
      heading: 'This link no longer works',
    });
  });

  test('the page of a reset asks for a password and sets it; a refused password is explained, and the link still works', async () => {
    const { service, as, user, visit, link } = await forgotten();
    const { auth } = service.clients(wire);
    const before = await service.database.checksums();
    for (const method of ['GET', 'HEAD', 'GET', 'HEAD']) await visit.open(link.path, {}, method);
    expect(await service.database.checksums()).toEqual(before);
    const page = await visit.open(link.path);
    expect(page).toMatchObject({ status: 200, form: { token: link.token, account: ada.email, password: '' } });
    const refused: [password: string, alert: RegExp][] = [
      ['', /^Enter a new password\.$/],
      ['xqzvwk7', /^This password is too short\. It needs at least 8 characters\.$/],
      ['password', /many people use/],
      ['ada@example.org', /too similar to your name/],
      ['a'.repeat(1025), /cannot be used/],
      ['with a \u0007 bell', /cannot be used/],
    ];
    for (const [password, alert] of refused) {
      const again = await visit.post('/reset-password', { ...page.form, password });
      expect(again.alert, password).toMatch(alert);
      expect(again.form, password).toEqual({ token: link.token, account: ada.email, password: '' });
      expect([400, 422], password).toContain(again.status);
    }
    const done = await visit.post('/reset-password', { ...page.form, password: newPassword });
    expect(done).toMatchObject({ status: 200, heading: 'Your new password is saved', form: undefined });
    await auth.signIn({ ...ada, password: newPassword });
    expect((await refusalOf(auth.getMe({}, as))).reason).toBe('SESSION_REVOKED');
    expect(await visit.open(link.path)).toMatchObject({ status: 410, heading: 'This link no longer works' });
    expect((await visit.post('/reset-password', { ...page.form, password: newPassword })).status).toBe(410);
    expect(await eventsOf(service, 'auth.password_reset.complete')).toContainEqual(
      expect.objectContaining({ user_id: user.id, result: 'SUCCESS', address: '127.0.0.1' }),
    );
  });

  test('a link that only an application can use stays usable, and its page says so', async () => {
    const service = await start();
    const { as, account } = await service.welcome();
    const { auth, accounts } = service.clients(wire);
    const visit = visitor(service);
    await auth.requestMagicLink({ email: ada.email });
    const magic = await linkTo(service);
    const invite = await accounts.createAccountInvite(
      { accountId: account.id, email: bob.email, role: AccountRole.MEMBER },
      asService,
    );
    const referral = await accounts.getReferral({}, as);
    await mailsTo(service, bob.email);
    const before = await service.database.checksums();
    const links: [path: string, heading: string][] = [
      [magic.path, 'This link opens in the application'],
      [pathOfLink(invite.link), 'Accept this invitation in the application'],
      [pathOfLink(referral.link), 'Use this referral in the application'],
    ];
    for (const [path, heading] of links) {
      expect(await visit.open(path), path).toMatchObject({ status: 200, heading, form: undefined });
      expect(await visit.open(path, {}, 'HEAD'), path).toMatchObject({ status: 200, text: '' });
      const posted = await visit.post(path, { token: magic.token });
      expect([posted.status, posted.headers.allow, posted.reason]).toEqual([405, 'GET, HEAD', 'METHOD_NOT_FOUND']);
    }
    expect(await service.database.checksums()).toEqual(before);
    await auth.signInWithMagicLink({ token: magic.token });
    await auth.register({ ...bob, accountInviteCode: invite.accountInviteCode });
  });
});

test('with FRONTEND_URL links lead to the application, and the service has no pages', async () => {
  const { visit, link, service } = await registered({ FRONTEND_URL: 'https://app.example.org/' });
  const { token } = link;
  for (const path of [
    '/verify-email',
    '/reset-password',
    '/confirm-email-change',
    '/magic-link',
    '/invite',
    '/reject-registration',
  ])
    for (const method of ['GET', 'HEAD', 'POST']) {
      const answer =
        method === 'POST' ? await visit.post(path, { token }) : await visit.open(`${path}?token=${token}`, {}, method);
      expect(answer.status, `${method} ${path}`).toBe(404);
    }
  expect((await visit.open('/?referral_code=x')).json).toMatchObject({ name: 'gatehouse' });
  await service.clients('json').auth.verifyEmail({ token });
});

test('the page of a wrong link says what is wrong and what to do', async () => {
  const { service, visit, link } = await registered();
  const seen = async (path: string, token?: string) => {
    const { status, heading, alert } = await visit.post(path, token === undefined ? {} : { token });
    expect(alert, path).toBeDefined();
    return [status, heading];
  };
  const wrongKind = '/confirm-email-change';
  expect(await seen('/verify-email')).toEqual([400, 'This link is not complete']);
  for (const path of ['/verify-email', '/confirm-email-change', '/reset-password']) {
    expect((await visit.open(path)).status, path).toBe(400);
    expect((await visit.open(`${path}?token=`)).heading, path).toBe('This link is not complete');
    for (const token of ['nonsense', 'x'.repeat(200), 'ghot_\u0000', '\ufffd'])
      expect(await seen(path, token), path).toEqual([400, 'This link is not valid']);
  }
  expect(await seen(wrongKind, link.token)).toEqual([400, 'This link is not valid']);
  expect((await visit.open('/reset-password?token=nonsense')).heading).toBe('This link no longer works');
  service.pass(25 * 3600);
  expect(await seen('/verify-email', link.token)).toEqual([410, 'This link no longer works']);
});

test.each(wires)(
  'the second press of a verification link says that the address is verified, over %s as well',
  async (wire) => {
    const { service, visit, link } = await registered();
    const { auth } = service.clients(wire);
    const { form } = await visit.open(link.path);
    await visit.post('/verify-email', form!);
    for (let n = 0; n < 2; n++) {
      const again = await visit.post('/verify-email', form!);
      expect(again).toMatchObject({ status: 200, heading: 'Your address is already verified', alert: undefined });
      expect(again.text).toContain('<div class="good" role="status">');
    }
    const german = await visit.post('/verify-email', form!, { 'accept-language': 'de' });
    expect(german.heading).toBe('Ihre Adresse ist schon bestätigt');
    // Also long after it has expired.
    service.pass(3 * 86_400);
    expect((await visit.post('/verify-email', form!)).heading).toBe('Your address is already verified');
    expect(await refusalOf(auth.verifyEmail({ token: link.token }))).toMatchObject({
      reason: 'VERIFICATION_TOKEN_USED_OR_EXPIRED',
      metadata: { state: 'verified' },
    });
  },
);

test('an older verification link says so too, once the address was verified by another one', async () => {
  const { service, visit, link } = await registered({ MAIL_GAP: '0s' });
  const { auth } = service.clients('json');
  await auth.sendVerificationEmail({ email: ada.email });
  const replaced = await visit.post('/verify-email', { token: link.token });
  expect(replaced).toMatchObject({ status: 410, alert: expect.stringContaining('replaced by a newer link') });
  await expect.poll(async () => (await linkTo(service)).token).not.toBe(link.token);
  await auth.verifyEmail({ token: (await linkTo(service)).token });
  expect((await visit.post('/verify-email', { token: link.token })).heading).toBe('Your address is already verified');
});

test('a used link differs from an expired one, for its owner only', async () => {
  const { visit, link, service } = await forgotten();
  const { auth } = service.clients('json');
  const fields = { token: link.token, password: newPassword };
  await visit.post('/reset-password', fields);
  const used = await visit.post('/reset-password', fields);
  expect(used).toMatchObject({ status: 410, alert: expect.stringContaining('already been used') });
  service.pass(120);
  await auth.requestPasswordReset({ email: ada.email });
  await expect.poll(async () => (await linkTo(service)).token).not.toBe(link.token);
  const { token } = await linkTo(service);
  service.pass(7200);
  const expired = await visit.post('/reset-password', { ...fields, token });
  expect(expired).toMatchObject({ status: 410, alert: expect.stringContaining('has expired') });
  const invented = `${token.slice(0, -8)}${token.slice(0, 8)}`;
  const refused = await refusalOf(auth.resetPassword({ token: invented, newPassword }));
  expect(refused).toMatchObject({ reason: 'RESET_TOKEN_INVALID' });
  expect(refused.metadata).not.toHaveProperty('state');
});

test('pages lead back to the application, if its address is known', async () => {
  const { visit, link } = await registered({ APP_URL: 'https://app.example.org/start' });
  const back = '<a href="https://app.example.org/start">Back to the application</a>';
  const { form, text } = await visit.open(link.path);
  expect(text).toContain(back);
  for (const token of [form!.token!, form!.token!, 'nonsense'])
    expect((await visit.post('/verify-email', { token })).text).toContain(back);
  const without = await registered();
  expect((await without.visit.open(without.link.path)).text).not.toContain('<nav>');
});

test('the page of an address that was taken meanwhile says so', async () => {
  const service = await start();
  const { as } = await service.welcome();
  const { auth, admin } = service.clients('json');
  await auth.updateMe({ email: countess, currentPassword: ada.password }, as);
  const { token } = await linkTo(service, countess);
  await admin.createUser({ ...bob, email: countess }, asService);
  const answer = await visitor(service).post('/confirm-email-change', { token });
  expect(answer).toMatchObject({ status: 409, heading: 'This address is taken', form: undefined });
});
