// @serializable
import { createHash, randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { expect, test } from 'vitest';
import { SettingName } from '../../gen/gatehouse/v1/admin_pb.ts';
import { ada, asService, bob } from '../support/people.ts';
import { newServiceKey } from '../support/project-methods.ts';
import { faultsOf, refusalOf } from '../support/refusal.ts';
import { bearer, start, type TestService, type Wire, wires } from '../support/start.ts';

const b = { headers: { 'gatehouse-project': 'b' } };

/** Creates the project `b` with a service key. */
async function createB(service: TestService, wire: Wire, settings = {}) {
  const key = newServiceKey(`b-${randomUUID()}`);
  const draft = { slug: 'b', settings, serviceKeys: [key.draft] };
  const { project } = await service.clients(wire).admin.createProject(draft, asService);
  return { project: project!, asB: key.as };
}

test.each(wires)('over %s a project has users of its own, also with the same address', async (wire) => {
  const service = await start();
  const { admin, auth } = service.clients(wire);
  const { project, asB } = await createB(service, wire);
  expect(project.publishableKey).toMatch(/^ghpub_[\w-]{32}$/);
  const { user: inDefault } = await admin.createUser(ada, asService);
  const { user: inB } = await admin.createUser({ ...ada, password: 'another long phrase' }, asB);
  expect(inB!.id).not.toBe(inDefault!.id);
  const signedIn = await auth.signIn({ email: ada.email, password: 'another long phrase' }, b);
  expect(signedIn.user!.id).toBe(inB!.id);
  const { user } = await auth.getMe({}, bearer(signedIn.tokens!));
  expect(user!.id).toBe(inB!.id);
  expect((await refusalOf(auth.signIn(ada, b))).reason).toBe('INVALID_CREDENTIALS');
  expect((await refusalOf(admin.getUser({ userId: inB!.id }, asService))).reason).toBe('USER_NOT_FOUND');
  expect((await admin.listUsers({}, asB)).users.map(({ id }) => id)).toEqual([inB!.id]);
});

test.each(wires)('over %s a project is named by its slug, its id or its publishable key', async (wire) => {
  const service = await start();
  const { auth } = service.clients(wire);
  const { project } = await createB(service, wire, { signUp: false });
  for (const name of ['b', project.id, project.publishableKey]) {
    const header = { headers: { 'gatehouse-project': name } };
    expect((await auth.getSettings({}, header)).disableSignup, name).toBe(true);
  }
  for (const name of ['default', '00000000-0000-7000-8000-000000000001'])
    expect((await auth.getSettings({}, { headers: { 'gatehouse-project': name } })).disableSignup).toBe(false);
  for (const name of ['c', '', randomUUID(), 'B']) {
    const refusal = await refusalOf(auth.getSettings({}, { headers: { 'gatehouse-project': name } }));
    expect(refusal.reason, name).toBe('PROJECT_NOT_FOUND');
  }
});

test('another replica knows a new project and its service key at once', async () => {
  const service = await start({ replicas: 2 });
  const { asB } = await createB(service, 'grpc', { signUp: false });
  const other = service.clients('json', 1);
  expect((await other.auth.getSettings({}, b)).disableSignup).toBe(true);
  const { user } = await other.admin.createUser(ada, asB);
  const { admin } = service.clients('json', 0);
  expect((await admin.getUser({ userId: user!.id }, asB)).user!.email).toBe(ada.email);
});

test('a change of a project holds on another replica within about a second', async () => {
  const service = await start({ replicas: 2 });
  const { project, asB } = await createB(service, 'grpc', { anonymousSignIn: false });
  const other = service.clients('json', 1);
  expect((await refusalOf(other.auth.signUpAnonymous({}, b))).reason).toBe('ANONYMOUS_SIGN_IN_DISABLED');
  const { admin } = service.clients('json', 0);
  const removeServiceKeys = [project.serviceKeys[0]!.name];
  const change = { project: 'b', settings: { anonymousSignIn: true }, removeServiceKeys };
  await admin.updateProject(change, asService);
  await expect.poll(() => other.auth.signUpAnonymous({}, b), { timeout: 5000 }).toBeTruthy();
  expect((await refusalOf(other.admin.listUsers({}, asB))).reason).toBe('TOKEN_INVALID');
});

test.each(wires)('over %s callers of the default project manage all projects, others see their own', async (wire) => {
  const service = await start();
  const { admin } = service.clients(wire);
  const operator = await service.operator();
  const { project, asB } = await createB(service, wire);
  const { project: c } = await admin.createProject({ slug: 'c' }, operator.as);
  const slugs = async (as: object) => (await admin.listProjects({}, as)).projects.map(({ slug }) => slug);
  expect(await slugs(operator.as)).toEqual(['default', 'b', 'c']);
  expect(await slugs(asB)).toEqual(['b']);
  expect((await admin.getProject({ project: 'b' }, asB)).project).toEqual(project);
  for (const name of ['c', c!.id, 'default', 'unknown'])
    for (const call of [
      admin.getProject({ project: name }, asB),
      admin.updateProject({ project: name, settings: { signUp: false } }, asB),
    ])
      expect((await refusalOf(call)).reason, name).toBe('PROJECT_NOT_FOUND');
  expect((await refusalOf(admin.createProject({ slug: 'd' }, asB))).reason).toBe('CALLER_NOT_ALLOWED');
  const { as } = await service.welcome();
  expect((await refusalOf(admin.listProjects({}, as))).reason).toBe('CALLER_NOT_ALLOWED');
});

test.each(wires)('over %s pages of projects continue where the page before has ended', async (wire) => {
  const { admin } = (await start()).clients(wire);
  for (const slug of ['b', 'c']) await admin.createProject({ slug }, asService);
  const first = await admin.listProjects({ pageSize: 2 }, asService);
  const second = await admin.listProjects({ pageSize: 2, pageToken: first.nextPageToken }, asService);
  expect([...first.projects, ...second.projects].map(({ slug }) => slug)).toEqual(['default', 'b', 'c']);
  expect(second.nextPageToken).toBe('');
});

test.each(wires)('over %s a slug and a service key belong to one project', async (wire) => {
  const service = await start();
  const { admin } = service.clients(wire);
  const key = newServiceKey('billing');
  await admin.createProject({ slug: 'b', serviceKeys: [key.draft] }, asService);
  const reasonOf = async (draft: object) => (await refusalOf(admin.createProject(draft, asService))).reason;
  expect(await reasonOf({ slug: 'b' })).toBe('PROJECT_EXISTS');
  expect(await reasonOf({ slug: 'default' })).toBe('PROJECT_EXISTS');
  expect(await reasonOf({ slug: 'c', serviceKeys: [{ ...key.draft, name: 'other' }] })).toBe('SERVICE_KEY_EXISTS');
  const twice = [key.draft, newServiceKey('billing', ['AuthService']).draft];
  expect(await reasonOf({ slug: 'c', serviceKeys: twice })).toBe('SERVICE_KEY_EXISTS');
  const ofDefault = createHash('sha256').update('ghs_a-key-that-only-tests-have').digest('hex');
  expect(await reasonOf({ slug: 'c', serviceKeys: [{ name: 'x', sha256: ofDefault }] })).toBe('SERVICE_KEY_EXISTS');
  expect((await admin.listProjects({}, asService)).projects).toHaveLength(2);
});

test.each(wires)('over %s a repeated CreateProject returns the project that the first call created', async (wire) => {
  const { admin } = (await start()).clients(wire);
  const request = { slug: 'b', settings: { appName: 'Engines' }, requestId: randomUUID() };
  const { project } = await admin.createProject(request, asService);
  expect((await admin.createProject(request, asService)).project).toEqual(project);
  const other = admin.createProject({ ...request, slug: 'c' }, asService);
  expect((await refusalOf(other)).reason).toBe('REQUEST_ID_REUSED');
});

test.each(wires)('over %s a setting that the configuration would refuse is refused with its field', async (wire) => {
  const { admin } = (await start()).clients(wire);
  const fieldsOf = async (settings: object, slug = 'b') => {
    const refusal = await refusalOf(admin.createProject({ slug, settings }, asService));
    expect(refusal.reason).toBe('INVALID_ARGUMENT');
    return refusal.fields;
  };
  expect(await fieldsOf({ siteUrl: 'nowhere', accentColor: 'red', logoUrl: 'http://example.org/a.png' })).toEqual([
    'settings.site_url',
    'settings.logo_url',
    'settings.accent_color',
  ]);
  expect(await fieldsOf({ redirectUrls: { values: ['https://[a'] } })).toEqual(['settings.redirect_urls']);
  expect(await fieldsOf({ redirectUrls: { values: ['https://a.example,https://b.example'] } })).toEqual([
    'settings.redirect_urls',
  ]);
  expect(await fieldsOf({ providers: { values: ['google'] } })).toEqual(['settings.providers']);
  expect(await fieldsOf({ passwordMinLength: 5 })).toEqual(['settings.password_min_length']);
  expect(await fieldsOf({ passwordMinLength: 65 })).toEqual(['settings.password_min_length']);
  expect(await fieldsOf({ limits: 'AuthService.Nothing=1' })).toEqual(['settings.limits']);
  const faultOf = (limits: string) => faultsOf(admin.createProject({ slug: 'b', settings: { limits } }, asService));
  const perSession = 'only LIMITS sets limits per session, for all projects: SessionService.Refresh:session';
  expect(await faultOf('SessionService.Refresh:session=5')).toEqual([perSession]);
  for (const key of ['*', 'OAuth.ClientSecret', 'AuthService.GetMe:success', 'AuthService.SignIn:codes'])
    expect(await faultOf(`${key}=5`), key).toEqual([`names no limit of a project: ${key}`]);
  expect(await fieldsOf({ appName: 'a\nb' })).toEqual(['settings.app_name']);
  expect(await fieldsOf({}, randomUUID())).toEqual(['slug']);
  expect(await fieldsOf({}, 'Upper')).toEqual(['slug']);
  expect((await admin.listProjects({}, asService)).projects).toHaveLength(1);
});

test.each(wires)('over %s UpdateProject sets and resets settings, and leaves the others', async (wire) => {
  const service = await start({ env: { SITE_URL: 'https://site.example.org' } });
  const { admin } = service.clients(wire);
  await createB(service, wire, { signUp: false, siteUrl: 'https://b.example.org', passwordMinLength: 12 });
  const { project } = await admin.updateProject(
    {
      project: 'b',
      settings: {
        frontendUrl: 'https://app.b.example.org/pages/',
        redirectUrls: { values: ['https://*.b.example.org/**'] },
      },
      reset: [SettingName.SITE_URL, SettingName.SIGN_UP],
    },
    asService,
  );
  expect(project!.overrides).toMatchObject({
    passwordMinLength: 12,
    frontendUrl: 'https://app.b.example.org/pages',
    redirectUrls: { values: ['https://*.b.example.org/**'] },
  });
  expect(project!.overrides!.signUp).toBeUndefined();
  // The pages are the site of a project that names no other one.
  expect(project!.settings).toMatchObject({ signUp: true, siteUrl: 'https://app.b.example.org/pages' });
  const { settings } = await admin.getSettings({}, asService);
  expect(settings).toMatchObject({ signUp: true, siteUrl: 'https://site.example.org', passwordMinLength: 8 });
});

test.each(wires)('over %s only a backend without scopes changes service keys', async (wire) => {
  const service = await start();
  const { admin } = service.clients(wire);
  const operator = await service.operator();
  const scoped = newServiceKey('scoped', ['AdminService']);
  const { asB } = await createB(service, wire);
  await admin.updateProject({ project: 'b', addServiceKeys: [scoped.draft] }, asB);
  const more = newServiceKey('more');
  for (const as of [operator.as, scoped.as])
    for (const change of [{ addServiceKeys: [more.draft] }, { removeServiceKeys: ['scoped'] }]) {
      const refusal = await refusalOf(admin.updateProject({ project: 'b', ...change }, as));
      expect(refusal.reason).toBe('CALLER_NOT_ALLOWED');
    }
  const draft = { slug: 'c', serviceKeys: [more.draft] };
  expect((await refusalOf(admin.createProject(draft, operator.as))).reason).toBe('CALLER_NOT_ALLOWED');
  const wrong = admin.updateProject({ project: 'b', addServiceKeys: [{ ...more.draft, scopes: ['Nothing'] }] }, asB);
  expect((await refusalOf(wrong)).fields).toEqual(['add_service_keys[0].scopes']);
  // Of an empty line, as `echo $key | sha256sum` hashes it without a key.
  const sha256 = createHash('sha256').update('\n').digest('hex');
  const known = admin.updateProject({ project: 'b', addServiceKeys: [{ name: 'known', sha256 }] }, asB);
  expect((await refusalOf(known)).fields).toEqual(['add_service_keys[0].sha256']);
});

test.each(wires)(
  'over %s a service key of a project is replaced without a gap, and keeps to its scopes',
  async (wire) => {
    const service = await start();
    const { admin, sessions } = service.clients(wire);
    const [one, two] = [newServiceKey('one', ['SessionService.Introspect']), newServiceKey('two')];
    await admin.createProject({ slug: 'b', serviceKeys: [one!.draft] }, asService);
    expect((await sessions.introspect({ token: 'x' }, one!.as)).active).toBe(false);
    expect((await refusalOf(admin.listUsers({}, one!.as))).reason).toBe('CALLER_NOT_ALLOWED');
    await admin.updateProject({ project: 'b', addServiceKeys: [two!.draft] }, asService);
    for (const { as } of [one!, two!]) expect((await sessions.introspect({ token: 'x' }, as)).active).toBe(false);
    await admin.updateProject({ project: 'b', removeServiceKeys: ['one'] }, two!.as);
    expect((await refusalOf(sessions.introspect({ token: 'x' }, one!.as))).reason).toBe('TOKEN_INVALID');
    const { project } = await admin.getProject({ project: 'b' }, two!.as);
    expect(project!.serviceKeys.map(({ name, scopes }) => [name, scopes])).toEqual([['two', []]]);
  },
);

test.each(wires)('over %s an event of a project names it', async (wire) => {
  const service = await start();
  const { admin } = service.clients(wire);
  const { project } = await createB(service, wire);
  await admin.updateProject({ project: 'b', settings: { signUp: false } }, asService);
  const { events } = await admin.listAuditEvents({ pageSize: 2 }, asService);
  expect(events.map(({ action, entityType, entityId }) => [action, entityType, entityId])).toEqual([
    ['project.update', 'project', project.id],
    ['project.create', 'project', project.id],
  ]);
});

test.each(wires)('over %s the password of a project has its own minimum length', async (wire) => {
  const service = await start();
  const { auth } = service.clients(wire);
  await createB(service, wire, { passwordMinLength: 20 });
  const short = { ...bob, password: 'nineteen characters' };
  const refusal = await refusalOf(auth.register(short, b));
  expect(refusal.reason).toBe('WEAK_PASSWORD');
  expect(refusal.metadata).toMatchObject({ min_length: '20' });
  expect((await auth.getSettings({}, b)).passwordMinLength).toBe(20);
  await auth.register(short);
});

test.each(wires)('over %s access tokens name every project but the default one', async (wire) => {
  const service = await start();
  const { admin, auth, sessions } = service.clients(wire);
  const { project, asB } = await createB(service, wire);
  await admin.createUser(ada, asB);
  const { tokens } = await auth.signIn(ada, b);
  const { tokens: refreshed } = await sessions.refresh({ refreshToken: tokens!.refreshToken }, b);
  for (const each of [tokens!, refreshed!]) expect(decodeJwt(each.accessToken).project_id).toBe(project.id);
  expect((await sessions.introspect({ token: refreshed!.accessToken }, asB)).active).toBe(true);
  expect((await sessions.introspect({ token: refreshed!.accessToken }, asService)).active).toBe(false);
  const { tokens: inDefault } = await service.welcome();
  expect(decodeJwt(inDefault.accessToken)).not.toHaveProperty('project_id');
});
