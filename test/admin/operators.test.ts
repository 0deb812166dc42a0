// @serializable
import { describe, expect, test } from 'vitest';
import { ActorKind } from '../../gen/gatehouse/v1/admin_pb.ts';
import { SystemRole } from '../../gen/gatehouse/v1/user_pb.ts';
import { partsOf } from '../support/forge.ts';
import { ada, asService, bob, grace, testEnv } from '../support/people.ts';
import { run } from '../support/process.ts';
import { Barrier, crowd, Pause, together } from '../support/race.ts';
import { reasonOf, refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, type TestService, wires } from '../support/start.ts';

describe.each(wires)('over %s', (wire) => {
  test('an operator may call AdminService while the database has the role, whatever the token says', async () => {
    const service = await start();
    const { admin, sessions } = service.clients(wire);
    const { as, user, tokens } = await service.operator();
    expect(partsOf(tokens.accessToken).claims).toMatchObject({ gatehouse_role: 'operator', role: 'authenticated' });
    expect((await admin.getUser({ userId: user.id }, as)).user!.role).toBe(SystemRole.OPERATOR);
    const state = await sessions.introspect({ token: tokens.accessToken }, asService);
    expect(state).toMatchObject({ role: SystemRole.OPERATOR, impersonatorId: '' });
    await admin.updateUser({ userId: user.id, role: SystemRole.ENGINEER }, asService);
    expect((await refusalOf(admin.getUser({ userId: user.id }, as))).reason).toBe('CALLER_NOT_ALLOWED');
    expect(partsOf((await service.signIn(grace)).tokens.accessToken).claims.gatehouse_role).toBeUndefined();
  });

  test('an operator may not call methods for backends, and a user none of AdminService', async () => {
    const service = await start();
    const { admin, sessions } = service.clients(wire);
    const { as, tokens } = await service.operator();
    const { as: asAda, user } = await service.welcome(ada);
    const { accessToken: token } = tokens;
    expect((await refusalOf(sessions.introspect({ token }, as))).reason).toBe('CALLER_NOT_ALLOWED');
    const call = () => admin.updateUser({ userId: user.id, role: SystemRole.OPERATOR }, asAda);
    expect(await refusalWithoutTrace(service.database, call)).toMatchObject({ code: 7, reason: 'CALLER_NOT_ALLOWED' });
  });

  test('operators grant and revoke the role, each time with one audit event that names them, but cannot revoke their own', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const { as, user: operator } = await service.operator();
    const { user } = await service.welcome(ada);
    await admin.updateUser({ userId: user.id, role: SystemRole.OPERATOR }, as);
    await admin.updateUser({ userId: user.id, role: SystemRole.ENGINEER }, as);
    const { events } = await admin.listAuditEvents({ userId: user.id, pageSize: 2 }, as);
    expect(events.map(({ action, actorKind, actorId }) => [action, actorKind, actorId])).toEqual([
      ['user.revoke_operator', ActorKind.USER, operator.id],
      ['user.grant_operator', ActorKind.USER, operator.id],
    ]);
    const self = () => admin.updateUser({ userId: operator.id.toUpperCase(), role: SystemRole.ENGINEER }, as);
    expect(await refusalWithoutTrace(service.database, self)).toMatchObject({ code: 9, reason: 'CANNOT_DEMOTE_SELF' });
  });

  test('a change of role and the other changes of the same call are separate audit events', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const { user } = await service.welcome(ada);
    const actions = async (request: object) => {
      const before = (await admin.listAuditEvents({ userId: user.id }, asService)).events.length;
      await admin.updateUser({ userId: user.id, ...request }, asService);
      const { events } = await admin.listAuditEvents({ userId: user.id }, asService);
      return events
        .slice(0, events.length - before)
        .map(({ action }) => action)
        .sort();
    };
    expect(await actions({ role: SystemRole.OPERATOR, email: 'lovelace@example.org' })).toEqual([
      'user.grant_operator',
      'user.update',
    ]);
    expect(await actions({ role: SystemRole.ENGINEER, userMetadata: { theme: 'dark' } })).toEqual([
      'user.revoke_operator',
      'user.update',
    ]);
    expect(await actions({ role: SystemRole.OPERATOR })).toEqual(['user.grant_operator']);
    expect(await actions({ role: SystemRole.OPERATOR, name: '' })).toEqual(['user.update']);
  });

  test('an operator who is banned may call nothing', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const { as, user } = await service.operator();
    await admin.banUser({ userId: user.id }, asService);
    expect((await refusalOf(admin.getSettings({}, as))).reason).toBe('SESSION_REVOKED');
  });
});

test("of operators who revoke each other's role in parallel one keeps it", async () => {
  const barrier = new Barrier('UpdateUser');
  const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
  const people = await Promise.all([ada, bob].map((person) => service.operator(person)));
  barrier.expect(crowd);
  const { errors } = await together((index) => {
    const [me, other] = index % 2 ? people : people.toReversed();
    return service
      .clients('grpc', index)
      .admin.updateUser({ userId: other!.user.id, role: SystemRole.ENGINEER }, me!.as);
  });
  const left = await service.database.query(`select id from users where system_role = 'operator'`);
  expect(left).toHaveLength(1);
  expect(errors.length).toBeGreaterThan(0);
  expect(new Set(errors.map(reasonOf))).toEqual(new Set(['CALLER_NOT_ALLOWED']));
});

test.each(wires)(
  'over %s operators cannot ban or delete themselves, and can leave once another operator has revoked their role',
  async (wire) => {
    const service = await start();
    const { admin, auth } = service.clients(wire);
    const { as, user } = await service.operator();
    const userId = user.id.toUpperCase();
    const refused = (call: () => Promise<unknown>) => refusalWithoutTrace(service.database, call);
    const itself = { code: 9, reason: 'CANNOT_REMOVE_SELF' };
    expect(await refused(() => admin.banUser({ userId, duration: { seconds: 1n } }, as))).toMatchObject(itself);
    expect(await refused(() => admin.deleteUser({ userId }, as))).toMatchObject(itself);
    expect(await refused(() => auth.deleteMe({}, as))).toMatchObject({ code: 9, reason: 'CANNOT_DEMOTE_SELF' });
    const other = await service.operator(ada);
    await admin.updateUser({ userId, role: SystemRole.ENGINEER }, other.as);
    await auth.deleteMe({}, as);
  },
);

test.each(['banUser', 'deleteUser'] as const)(
  'of operators who call %s for each other in parallel one stays',
  async (name) => {
    const barrier = new Barrier(name === 'banUser' ? 'BanUser' : 'DeleteUser');
    const service = await start({ replicas: 2, inner: [barrier.interceptor()] });
    const people = await Promise.all([ada, bob].map((person) => service.operator(person)));
    barrier.expect(crowd);
    const { errors } = await together((index): Promise<unknown> => {
      const [me, other] = index % 2 ? people : people.toReversed();
      return service.clients('grpc', index).admin[name]({ userId: other!.user.id }, me!.as);
    });
    const left = await service.database.query(
      `select id from users where system_role = 'operator' and deleted_at is null and banned_until is null`,
    );
    expect(left).toHaveLength(1);
    expect(errors.map(reasonOf)).toContain('SESSION_REVOKED');
  },
);

test('an operator who is banned meanwhile cannot revoke the role of another', async () => {
  const pause = new Pause('UpdateUser');
  const service = await start({ inner: [pause.interceptor()] });
  const { admin } = service.clients('grpc');
  const one = await service.operator(ada);
  const two = await service.operator(bob);
  const reached = pause.next();
  const taking = refusalOf(admin.updateUser({ userId: one.user.id, role: SystemRole.ENGINEER }, two.as));
  await reached;
  await admin.banUser({ userId: two.user.id }, one.as);
  pause.resume();
  expect((await taking).reason).toBe('SESSION_REVOKED');
  await admin.getSettings({}, one.as);
});

const commandEnv = ({ database }: TestService) => ({
  DATABASE_URL: database.url,
  MASTER_KEYS: testEnv.MASTER_KEYS,
});

test('the command line grants the role of operator, prints the user who has it now, and revokes it', async () => {
  const service = await start();
  const { user, as } = await service.welcome(ada);
  const env = commandEnv(service);
  const { admin } = service.clients('json');
  await admin.updateUser({ userId: user.id, emailVerified: true }, asService);
  expect(await run(['admin', 'grant', 'ADA@example.org'], env)).toMatchObject({
    code: 0,
    stdout: `${user.id}  ada@example.org\n`,
  });
  const { events } = await admin.listAuditEvents({ userId: user.id, pageSize: 1 }, as);
  expect(events).toMatchObject([
    { action: 'user.grant_operator', actorKind: ActorKind.SERVICE, actorId: 'command line' },
  ]);
  expect(await run(['admin', 'revoke', ada.email], env)).toMatchObject({ code: 0, stdout: '' });
  expect((await refusalOf(admin.getSettings({}, as))).reason).toBe('CALLER_NOT_ALLOWED');
}, 40_000);

test('the command line says what is wrong with the arguments of admin', async () => {
  const service = await start();
  const wrong: [args: string[], sentence: string][] = [
    [['grant', 'nobody@example.org'], 'no user has the address nobody@example.org'],
    [['revoke', 'nobody@example.org'], 'no user has the address nobody@example.org'],
  ];
  for (const [args, sentence] of wrong)
    expect(await run(['admin', ...args], commandEnv(service))).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `${sentence}\n`,
    });
}, 40_000);

test('the command line does not grant the role to an unverified address, unless it is forced to', async () => {
  const service = await start();
  const { auth, admin } = service.clients('json');
  // Anybody can register the address.
  const { user } = await auth.register(ada);
  const env = commandEnv(service);
  const refused = await run(['admin', 'grant', ada.email], env);
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toContain(`ada@example.org is not verified: user ${user!.id} registered it on 20`);
  expect(refused.stderr).toContain('--unverified');
  expect((await admin.getUser({ userId: user!.id }, asService)).user!.role).toBe(SystemRole.ENGINEER);
  const printed = `${user!.id}  ada@example.org  (not verified)\n`;
  expect(await run(['admin', 'grant', ada.email, '--unverified'], env)).toMatchObject({ code: 0, stdout: printed });
  expect(await run(['admin', 'revoke', ada.email], env)).toMatchObject({ code: 0, stdout: '' });
  expect(await run(['admin', 'grant', '--unverified', ada.email], env)).toMatchObject({ code: 0, stdout: printed });
}, 40_000);
