import { Code, type Interceptor } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { AccountRole, ConnectError, newRequestId, withBearer } from '../../src/sdk/surface.ts';
import { ada, bob, serviceKey } from '../support/people.ts';
import { entries, open } from '../support/sdk-entries.ts';
import { start } from '../support/start.ts';

const asService = withBearer(serviceKey);
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Lets the service complete every call, and loses the response of each first attempt. */
function losing() {
  const ids: string[] = [];
  const lost = new Set<string>();
  const interceptor: Interceptor = (next) => async (req) => {
    const { requestId } = req.message as unknown as { requestId?: string };
    ids.push(requestId ?? 'none');
    const response = await next(req);
    if (lost.has(requestId ?? '')) return response;
    lost.add(requestId ?? '');
    throw new ConnectError('the response was lost', Code.Unavailable);
  };
  return { ids, interceptor };
}

describe.each(entries)('through gatehouse/%s', (entry) => {
  test('a call that creates something is retried with the same id, and creates it once', async () => {
    const service = await start({ env: { AUTO_CONFIRM_EMAIL: 'on' } });
    const { account } = await service.welcome();
    const { ids, interceptor } = losing();
    const { admin, accounts, auth } = open(entry, service.replicas[0]!, { interceptors: [interceptor] });
    const { user } = await admin.createUser({ email: 'new@example.org' }, asService);
    const asMember = { accountId: account.id, role: AccountRole.MEMBER };
    await accounts.addMember({ ...asMember, userId: user!.id }, asService);
    await accounts.createAccountInvite({ ...asMember, email: 'invited@example.org' }, asService);
    await admin.createInviteCode({}, asService);
    const { tokens } = await auth.register(bob);
    await service.clients('grpc').auth.getMe({}, withBearer(tokens!.accessToken));
    expect(ids).toHaveLength(10);
    expect(new Set(ids).size, 'two attempts have one id').toBe(5);
    for (const id of ids) expect(id).toMatch(uuid);
    const [row] = await service.database.query<{ codes: number; users: number }>(
      'select (select count(*)::int from invite_codes) as codes, (select count(*)::int from users) as users',
    );
    expect(row).toEqual({ codes: 1, users: 3 });
  });

  test('usage is consumed with an id only when the application gives one, and then once', async () => {
    const service = await start();
    const { as } = await service.welcome();
    const { ids, interceptor } = losing();
    const { accounts } = open(entry, service.replicas[0]!, { interceptors: [interceptor] });
    const requestId = newRequestId();
    expect((await accounts.consumeUsage({ amount: 5, requestId }, as)).usage!.usage).toBe(5n);
    await expect(accounts.consumeUsage({ amount: 5 }, as)).rejects.toMatchObject({ code: Code.Unavailable });
    expect(ids).toEqual([requestId, requestId, 'none']);
  });

  test('the creation of an API key is not retried: the second response would have no secret', async () => {
    const service = await start();
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const { ids, interceptor } = losing();
    const { devices } = open(entry, service.replicas[0]!, { interceptors: [interceptor] });
    await expect(devices.createApiKey({ name: 'a' }, as)).rejects.toMatchObject({ code: Code.Unavailable });
    expect(ids).toEqual(['none']);
  });

  test('an id of the application is sent as it is', async () => {
    const service = await start();
    const { ids, interceptor } = losing();
    const { admin } = open(entry, service.replicas[0]!, { interceptors: [interceptor] });
    const requestId = newRequestId();
    await admin.createUser({ ...ada, requestId }, asService);
    expect(ids).toEqual([requestId, requestId]);
  });
});

test('new request ids are random UUIDs', () => {
  const ids = Array.from({ length: 500 }, newRequestId);
  expect(new Set(ids).size).toBe(500);
  for (const id of ids) expect(id).toMatch(uuid);
});
