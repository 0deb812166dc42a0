import { create as createMessage, toBinary } from '@bufbuild/protobuf';
import { StructSchema, ValueSchema } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { describe, expect, onTestFinished, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { CreateUserRequestSchema } from '../../gen/gatehouse/v1/admin_pb.ts';
import { ada, asService, bob } from '../support/people.ts';
import { frame, RawGrpc } from '../support/raw-grpc.ts';
import { refusalOf, refusalWithoutTrace } from '../support/refusal.ts';
import { start, type TestService, type Wire, wires } from '../support/start.ts';
import { identifiedCalls, newRequestId } from './identified-calls.ts';

const other: Readonly<Record<Wire, Wire>> = { grpc: 'json', json: 'grpc' };

/** Everything in the database, once queued mails have left. */
async function everything({ database }: TestService): Promise<object> {
  const waiting = `select id from mail_outbox where state = 'queued'`;
  await expect.poll(async () => (await database.query(waiting)).length, { timeout: 5000 }).toBe(0);
  return database.checksums();
}

describe.each(wires)('over %s', (wire) => {
  test.each(Object.entries(identifiedCalls))(
    '%s with the same id and content returns the same and changes nothing, on another replica and transport too',
    async (_, prepare) => {
      const service = await start({ replicas: 2 });
      const { call, effects } = await prepare(service);
      const requestId = newRequestId();
      const first = await call(service.clients(wire), requestId);
      const after = await everything(service);
      const count = await effects();
      expect(await call(service.clients(wire), requestId.toUpperCase())).toEqual(first);
      expect(await call(service.clients(other[wire], 1), requestId)).toEqual(first);
      expect(await everything(service)).toEqual(after);
      expect(await effects()).toBe(count);
    },
  );

  test.each(Object.entries(identifiedCalls))('%s with the same id and other content is refused', async (_, prepare) => {
    const service = await start();
    const { call, callWithOther } = await prepare(service);
    const requestId = newRequestId();
    await call(service.clients(wire), requestId);
    const refusal = await refusalWithoutTrace(service.database, () => callWithOther(service.clients(wire), requestId));
    expect(refusal).toMatchObject({ code: Code.FailedPrecondition, reason: 'REQUEST_ID_REUSED' });
  });

  test.each(Object.entries(identifiedCalls).filter(([name]) => name !== 'AddMember'))(
    '%s by another caller with the same id has its own effect',
    async (_, prepare) => {
      const service = await start();
      const { call, callAsOther, effects } = await prepare(service);
      const requestId = newRequestId();
      await call(service.clients(wire), requestId);
      const before = await effects();
      await callAsOther!(service.clients(wire), requestId);
      expect(await effects()).toBe(before + 1);
    },
  );

  test.each(['CreateInviteCode', 'ConsumeUsage (fingerprint)'])(
    'the id of %s can be used again once it has expired',
    async (name) => {
      const service = await start();
      const { call, callWithOther, effects, hours } = await identifiedCalls[name]!(service);
      const clients = service.clients(wire);
      const requestId = newRequestId();
      const first = await call(clients, requestId);
      service.pass(hours * 3600 - 60);
      expect(await call(clients, requestId)).toEqual(first);
      const before = await effects();
      service.pass(61);
      await callWithOther(clients, requestId);
      expect(await effects()).toBeGreaterThan(before);
      expect((await refusalOf(call(clients, requestId))).reason).toBe('REQUEST_ID_REUSED');
    },
  );

  test('the id of a refused call can be used again', async () => {
    const service = await start({ env: { QUOTA_FREE: '5' } });
    const { admin, accounts } = service.clients(wire);
    const { as } = await service.welcome();
    const requestId = newRequestId();
    expect((await refusalOf(admin.createUser({ ...ada, requestId }, asService))).reason).toBe(
      'EMAIL_ALREADY_REGISTERED',
    );
    await admin.createUser({ ...bob, requestId }, asService);
    expect((await refusalOf(accounts.consumeUsage({ amount: 6, requestId }, as))).reason).toBe('QUOTA_EXCEEDED');
    expect((await accounts.consumeUsage({ amount: 5, requestId }, as)).usage!.usage).toBe(5n);
    expect((await accounts.consumeUsage({ amount: 5, requestId }, as)).usage!.usage).toBe(5n);
  });

  test('usage is returned as it was after the first call', async () => {
    const service = await start();
    const { accounts } = service.clients(wire);
    const { as } = await service.welcome();
    const requestId = newRequestId();
    const first = await accounts.consumeUsage({ amount: 3, requestId }, as);
    await accounts.consumeUsage({ amount: 4 }, as);
    expect(await accounts.consumeUsage({ amount: 3, requestId }, as)).toEqual(first);
    expect((await accounts.getUsage({}, as)).usage!.usage).toBe(7n);
  });

  test('another password is another request, and so is a password that was not there', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const [withPassword, without] = [newRequestId(), newRequestId()];
    const { name: _, ...request } = ada;
    const first = await admin.createUser({ ...request, requestId: withPassword }, asService);
    expect(await admin.createUser({ ...request, requestId: withPassword }, asService)).toEqual(first);
    const { email } = bob;
    await admin.createUser({ email, requestId: without }, asService);
    for (const changed of [
      { ...request, password: bob.password, requestId: withPassword },
      { email: request.email, requestId: withPassword },
      { ...bob, name: '', requestId: without },
    ])
      expect((await refusalOf(admin.createUser(changed, asService))).reason).toBe('REQUEST_ID_REUSED');
  });

  test('a user who was deleted and a member who was removed are not created again', async () => {
    const service = await start();
    const { admin, accounts } = service.clients(wire);
    const host = await service.welcome();
    const requestId = newRequestId();
    const { user } = await admin.createUser({ ...bob, requestId }, asService);
    const adding = { accountId: host.account.id, userId: user!.id, role: AccountRole.MEMBER, requestId };
    await accounts.addMember(adding, asService);
    await accounts.removeMember({ accountId: host.account.id, userId: user!.id }, host.as);
    expect((await refusalOf(accounts.addMember(adding, asService))).reason).toBe('MEMBER_NOT_FOUND');
    await admin.deleteUser({ userId: user!.id }, asService);
    expect((await refusalOf(admin.createUser({ ...bob, requestId }, asService))).reason).toBe('USER_NOT_FOUND');
  });

  test('the code of an invitation works, and an inviter who left the account is not shown the invitation', async () => {
    const service = await start();
    const { auth, accounts } = service.clients(wire);
    const host = await service.welcome({ ...ada, emailVerified: true });
    const accountId = host.account.id;
    const inviting = { accountId, email: 'carol@example.org', role: AccountRole.MEMBER, requestId: newRequestId() };
    await accounts.createAccountInvite(inviting, asService);
    const { accountInviteCode } = await accounts.createAccountInvite(inviting, asService);
    await auth.register({ ...ada, email: inviting.email, accountInviteCode });
    const repeated = await accounts.createAccountInvite(inviting, asService);
    expect(repeated.invite!.acceptTime).toBeDefined();
    const admin = await service.welcome({ ...bob, emailVerified: true });
    await accounts.addMember({ accountId, userId: admin.user.id, role: AccountRole.ADMIN }, asService);
    const own = { ...inviting, email: 'dave@example.org', requestId: newRequestId() };
    const first = await accounts.createAccountInvite(own, admin.as);
    expect(first).toMatchObject({ accountInviteCode: '', link: '', mailed: true });
    expect(await accounts.createAccountInvite(own, admin.as)).toEqual(first);
    await accounts.removeMember({ accountId, userId: admin.user.id }, host.as);
    expect((await refusalOf(accounts.createAccountInvite(own, admin.as))).reason).toBe('ACCOUNT_NOT_FOUND');
  });

  test('an id that is no UUID is refused', async () => {
    const service = await start();
    const { admin, accounts, auth } = service.clients(wire);
    for (const requestId of ['', '1', 'not-a-uuid', `${newRequestId()}0`, `{${newRequestId()}}`]) {
      expect((await refusalOf(admin.createUser({ ...ada, requestId }, asService))).fields).toEqual(['request_id']);
      expect((await refusalOf(auth.register({ ...ada, requestId }))).fields).toEqual(['request_id']);
      const consuming = accounts.consumeUsage({ amount: 1, requestId }, asService);
      expect((await refusalOf(consuming)).fields).toEqual(['request_id']);
    }
  });
});

test('a request whose metadata has a number without a text in JSON is refused, and its id stays free', async () => {
  const service = await start();
  const client = new RawGrpc(service.replicas[0]!.grpcPort);
  onTestFinished(() => client.close());
  const requestId = newRequestId();
  const create = async (value: number) => {
    const metadata = toBinary(StructSchema, structOf(value));
    const request = createMessage(CreateUserRequestSchema, { email: ada.email, requestId });
    const appMetadata = Buffer.from([(8 << 3) | 2, metadata.length, ...metadata]);
    const body = frame(Buffer.concat([toBinary(CreateUserRequestSchema, request), appMetadata]));
    const { code, reason } = await client.call('/gatehouse.v1.AdminService/CreateUser', body, asService.headers);
    return reason ?? code;
  };
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) expect(await create(value)).toBe('INVALID_ARGUMENT');
  for (const value of [0, 0]) expect(await create(value)).toBe(0);
  expect(await create(1)).toBe('REQUEST_ID_REUSED');
});

function structOf(value: number) {
  const numberValue = { case: 'numberValue', value } as const;
  return createMessage(StructSchema, { fields: { a: createMessage(ValueSchema, { kind: numberValue }) } });
}

test('neither the ids nor what is kept with them contain a secret', async () => {
  const service = await start();
  const { admin, accounts } = service.clients('json');
  const requestId = newRequestId();
  await admin.createUser({ ...ada, requestId }, asService);
  const { account } = await service.welcome(bob);
  const inviting = { accountId: account.id, email: 'new@example.org', role: AccountRole.MEMBER, requestId };
  const { accountInviteCode } = await accounts.createAccountInvite(inviting, asService);
  const rows = await service.database.query<{ row: string }>('select to_jsonb(r)::text as row from request_ids r');
  expect(rows).toHaveLength(2);
  for (const { row } of rows)
    for (const secret of [ada.password, accountInviteCode, accountInviteCode.slice(4)])
      expect(row).not.toContain(secret);
});
