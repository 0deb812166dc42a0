import { expect, test } from 'vitest';
import { SettingName } from '../../gen/gatehouse/v1/admin_pb.ts';
import { SystemRole } from '../../gen/gatehouse/v1/user_pb.ts';
import { lastMail, mailsTo } from '../support/inbox.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { startSink } from '../support/smtp-sink.ts';
import { bearer, start, wires } from '../support/start.ts';
import { createTenant } from '../support/tenants.ts';

const env = { APP_NAME: 'Installation', ACCENT_COLOR: '#111111', FRONTEND_URL: 'https://app.example.org' };
const look = {
  ...{ appName: 'Engines & Co', accentColor: '#7a1fa2', logoUrl: 'https://b.example.org/logo.png' },
  frontendUrl: 'https://b.example.org/account',
};

test('mails of a project have its look and lead to its pages', async () => {
  const service = await start({ env });
  const b = await createTenant(service, 'b', look);
  const { auth } = service.clients('json');
  await auth.register(ada, b.named);
  await auth.register(ada);
  const [inB, inDefault] = await mailsTo(service, ada.email);
  expect(inB!.link).toMatch(/^https:\/\/b\.example\.org\/account\/verify-email\?token=[\w-]+$/);
  expect(inB!.html).toContain('<img src="https://b.example.org/logo.png" alt="Engines &amp; Co"');
  expect(inB!.html).toContain('bgcolor="#7a1fa2"');
  expect(inB!.subject + inB!.text).toContain('Engines & Co');
  expect(inB!.text + inB!.html).not.toContain('Installation');
  expect(inDefault!.link).toContain('https://app.example.org/verify-email?token=');
  expect(inDefault!.html).toContain('bgcolor="#111111"');
  expect(inDefault!.text + inDefault!.html).not.toMatch(/Engines|b\.example\.org/);
});

test('the pages of links serve the project that the link names, in its look', async () => {
  const service = await start();
  const b = await createTenant(service, 'b', { appName: 'Engines', accentColor: '#7a1fa2' });
  const { auth } = service.clients('json');
  await auth.register(ada, b.named);
  const { link } = await lastMail(service, ada.email);
  expect(link).toMatch(/\/verify-email\?token=[\w-]+&project=b$/);
  const { httpPort } = service.replicas[0]!;
  const { pathname, search, searchParams } = new URL(link);
  const page = await (await fetch(`http://127.0.0.1:${httpPort}${pathname}${search}`)).text();
  expect(page).toContain('Engines');
  const [, action] = /action="([^"]+)"/.exec(page)!;
  expect(action).toBe('/verify-email?project=b');
  const send = (place: string) =>
    fetch(`http://127.0.0.1:${httpPort}${place}`, {
      method: 'POST',
      headers: { origin: 'http://gatehouse.test', 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ token: searchParams.get('token')! }),
    });
  expect((await send('/verify-email')).status).not.toBe(200);
  expect((await send('/verify-email?project=unknown')).status).not.toBe(200);
  expect((await send(action!)).status).toBe(200);
  const { user } = await auth.signIn(ada, b.named);
  expect(user!.emailVerified).toBe(true);
});

test.each(wires)('over %s the limits of a project hold there and nowhere else', async (wire) => {
  const service = await start({ env: { LIMITS: 'AuthService.SignIn=4' } });
  const limits = 'AuthService.SignIn=2,AuthService.SignIn:account=off';
  const b = await createTenant(service, 'b', { limits });
  const c = await createTenant(service, 'c');
  const { auth, admin } = service.clients(wire);
  const failuresUntilLimit = async (options: object) => {
    for (let n = 0; ; n++) {
      const { reason } = await refusalOf(auth.signIn(bob, options));
      if (reason === 'OVER_REQUEST_RATE_LIMIT') return n;
    }
  };
  expect(await failuresUntilLimit(b.named)).toBe(2);
  expect(await failuresUntilLimit(c.named)).toBe(4);
  expect(await failuresUntilLimit({})).toBe(4);
  await admin.updateProject({ project: 'b', reset: [SettingName.LIMITS] }, asService);
  const own = { project: 'b', settings: { limits } };
  expect((await refusalOf(admin.updateProject(own, b.asBackend))).reason).toBe('CALLER_NOT_ALLOWED');
  expect((await refusalOf(admin.updateSettings(own, b.asBackend))).reason).toBe('CALLER_NOT_ALLOWED');
});

test.each(wires)('over %s limits of successes and of unknown codes are those of the project', async (wire) => {
  const service = await start({ env: { LIMITS: '*=off,DeviceService.ApproveDevice:codes=4' } });
  const limits = 'AuthService.SignIn=5,AuthService.SignIn:success=2,DeviceService.ApproveDevice:codes=2';
  const b = await createTenant(service, 'b', { limits });
  const { auth, admin, devices } = service.clients(wire);
  await service.welcome(ada);
  await admin.createUser(ada, b.asBackend);
  const { tokens } = await auth.signIn(ada, b.named);
  await auth.signIn(ada, b.named);
  expect((await refusalOf(auth.signIn(ada, b.named))).reason).toBe('OVER_REQUEST_RATE_LIMIT');
  const ofDefault = await auth.signIn(ada);
  const triesOf = async (accessToken: string) => {
    for (let n = 0; ; n++) {
      const { reason } = await refusalOf(devices.approveDevice({ userCode: 'BCDF-GHJK' }, bearer({ accessToken })));
      if (reason === 'OVER_REQUEST_RATE_LIMIT') return n;
    }
  };
  expect(await triesOf(tokens!.accessToken)).toBe(2);
  expect(await triesOf(ofDefault.tokens!.accessToken)).toBe(4);
});

test.each(wires)('over %s a correct password does not help once the limit of the project is used up', async (wire) => {
  const service = await start({ env: { LIMITS: '*=off' } });
  const b = await createTenant(service, 'b', { limits: 'AuthService.SignIn=2' });
  const { auth, admin } = service.clients(wire);
  await admin.createUser(ada, b.asBackend);
  for (let n = 0; n < 2; n++) await refusalOf(auth.signIn(bob, b.named));
  expect((await refusalOf(auth.signIn(ada, b.named))).reason).toBe('OVER_REQUEST_RATE_LIMIT');
  const [row] = await service.database.query<{ project: string }>(
    `select project_id as project from rate_limits where key like 'AuthService.SignIn 127%'`,
  );
  expect(row!.project).toBe(b.project.id);
});

test.each(wires)('over %s settings of one project never touch another', async (wire) => {
  const service = await start();
  const settings = { signUp: false, anonymousSignIn: false, passwordMinLength: 30, emailVerification: false };
  const b = await createTenant(service, 'b', settings);
  const c = await createTenant(service, 'c');
  const { auth, admin } = service.clients(wire);
  for (const options of [{}, c.named]) {
    await auth.register(ada, options);
    await auth.signUpAnonymous({}, options);
  }
  expect((await refusalOf(auth.register(ada, b.named))).reason).toBe('SIGN_UP_DISABLED');
  expect((await refusalOf(auth.signUpAnonymous({}, b.named))).reason).toBe('ANONYMOUS_SIGN_IN_DISABLED');
  await admin.updateSettings({ settings: { signUp: false, passwordMinLength: 12 } }, asService);
  expect((await refusalOf(auth.register(bob))).reason).toBe('SIGN_UP_DISABLED');
  await auth.register(bob, c.named);
  expect((await auth.getSettings({})).passwordMinLength).toBe(12);
  expect((await auth.getSettings({}, c.named)).passwordMinLength).toBe(8);
  expect((await admin.getSettings({}, b.asBackend)).overrides).toMatchObject(settings);
});

test('the own settings of a project change by its operators, and its keys do not', async () => {
  const service = await start();
  const b = await createTenant(service, 'b');
  const { auth, admin } = service.clients('json');
  const { user } = await admin.createUser({ ...ada, emailVerified: true }, b.asBackend);
  await admin.updateUser({ userId: user!.id, role: SystemRole.OPERATOR }, b.asBackend);
  const { tokens } = await auth.signIn(ada, b.named);
  const as = { headers: { authorization: `Bearer ${tokens!.accessToken}` } };
  const { settings } = await admin.updateSettings({ settings: { siteUrl: 'https://b.example.org' } }, as);
  expect(settings!.siteUrl).toBe('https://b.example.org');
  expect((await admin.getSettings({}, asService)).settings!.siteUrl).toBe('http://gatehouse.test');
  const { project } = await admin.updateProject({ project: 'b', settings: { appName: 'Engines' } }, as);
  expect(project!.settings!.appName).toBe('Engines');
  const removing = admin.updateProject({ project: 'b', removeServiceKeys: ['tenant-b'] }, as);
  expect((await refusalOf(removing)).reason).toBe('CALLER_NOT_ALLOWED');
});

test('the sender of mails of a project has its name', async () => {
  const sink = await startSink();
  const service = await start({ env: { ...env, ...sink.env } });
  const b = await createTenant(service, 'b', look);
  const { auth } = service.clients('json');
  await auth.register(ada, b.named);
  await auth.register(bob);
  await expect.poll(() => sink.mails.length, { timeout: 10_000 }).toBe(2);
  const nameOf = (to: string) => sink.mails.find((mail) => mail.to.includes(to))!.parsed.from!.name;
  expect(nameOf(ada.email)).toBe('Engines & Co');
  expect(nameOf(bob.email)).not.toBe('Engines & Co');
});
