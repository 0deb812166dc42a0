import { expect, test } from 'vitest';
import { ada, asService, testEnv } from '../support/people.ts';
import { run } from '../support/process.ts';
import { newServiceKey } from '../support/project-methods.ts';
import { refusalOf } from '../support/refusal.ts';
import { start } from '../support/start.ts';
import { createTenant } from '../support/tenants.ts';

test('projects are created, changed, shown and listed, and a running replica reads the change', async () => {
  const service = await start();
  const { admin, auth } = service.clients('json');
  const projects = (...args: string[]) =>
    run(['projects', ...args], { DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS });
  const { draft, as } = newServiceKey('backend', ['AdminService']);
  const key = `${draft.name}:${draft.sha256}:${draft.scopes.join('+')}`;
  const set = ['--set', 'SIGN_UP=off', '--set', 'APP_NAME=Engines', '--set', 'LIMITS=AuthService.SignIn=10'];
  const created = await projects('create', 'engines', ...set, '--key', key);
  expect(created).toMatchObject({ code: 0, stderr: '' });
  const [head, ...lines] = created.stdout.trimEnd().split('\n');
  expect(head).toMatch(/^engines {2}[0-9a-f-]{36} {2}ghpub_[\w-]{32}$/);
  expect(lines.slice(0, 3)).toEqual(['  SIGN_UP=off', '  APP_NAME=Engines', '  LIMITS=AuthService.SignIn=10']);
  expect(lines[3]).toMatch(/^ {2}service key backend {2}AdminService {2}since \d{4}-/);
  expect((await admin.listUsers({}, as)).users).toEqual([]);
  const named = { headers: { 'gatehouse-project': 'engines' } };
  expect((await auth.getSettings({}, named)).disableSignup).toBe(true);
  expect((await projects('keys', 'engines', '--remove', 'backend')).code).toBe(0);
  const updated = await projects('update', 'engines', '--reset', 'LIMITS');
  expect(updated.stdout.trimEnd().split('\n')).toEqual([head, '  SIGN_UP=off', '  APP_NAME=Engines']);
  expect((await projects('show', 'engines')).stdout).toBe(updated.stdout);
  const listed = await projects('list');
  expect(
    listed.stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' ')[0]),
  ).toEqual(['default', 'engines']);
  const { events } = await admin.listAuditEvents({ pageSize: 3 }, asService);
  expect(events.map(({ action, actorId }) => [action, actorId])).toEqual([
    ['project.update', 'command line'],
    ['project.update', 'command line'],
    ['project.create', 'command line'],
  ]);
});

test('a user of a project becomes an operator there', async () => {
  const service = await start();
  const b = await createTenant(service, 'b');
  const { admin, auth } = service.clients('json');
  for (const as of [asService, b.asBackend]) await admin.createUser({ ...ada, emailVerified: true }, as);
  const env = { DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS };
  expect((await run(['admin', 'grant', ada.email, '--project', 'b'], env)).code).toBe(0);
  const { tokens } = await auth.signIn(ada, b.named);
  const { users } = await admin.listUsers({}, { headers: { authorization: `Bearer ${tokens!.accessToken}` } });
  expect(users).toHaveLength(1);
  const { as } = await service.signIn();
  expect((await refusalOf(admin.listUsers({}, as))).reason).toBe('CALLER_NOT_ALLOWED');
  const { events } = await admin.listAuditEvents({ action: 'user.grant_operator' }, b.asBackend);
  expect(events).toHaveLength(1);
  expect((await run(['admin', 'grant', ada.email, '--project', 'c'], env)).stderr).toContain('there is no project c');
});

test('a wrong command about projects is refused with a sentence', async () => {
  const service = await start();
  const faultOf = async (...args: string[]) => {
    const { code, stderr } = await run(['projects', ...args], {
      DATABASE_URL: service.database.url,
      MASTER_KEYS: testEnv.MASTER_KEYS,
    });
    expect(code).toBe(1);
    return stderr.trim();
  };
  expect(await faultOf('show', 'unknown')).toContain('there is no project unknown');
  expect(await faultOf('create', 'default')).toContain('another project has this slug');
  expect(await faultOf('create', 'b', '--set', 'SITE_URL=nowhere')).toContain('settings.site_url: ');
  expect(await faultOf('create', 'b', '--set', 'GRPC_PORT=1')).toContain('GRPC_PORT is no setting of a project');
  expect(await faultOf('create', 'b', '--key', 'x:y')).toContain('NAME:SHA256');
});
