import { create } from '@bufbuild/protobuf';
import { createContextValues, type HandlerContext } from '@connectrpc/connect';
import { describe, expect, test } from 'vitest';
import { AccountRole, AccountService, ListMembersRequestSchema } from '../../gen/gatehouse/v1/account_pb.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { Refusal } from '../../src/errors.ts';
import { kCaller, kProject, type UserCaller } from '../../src/rpc/context.ts';
import { PageTokens } from '../../src/rpc/page-token.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService, type Wire, wires } from '../support/start.ts';

interface Page {
  readonly items: readonly unknown[];
  readonly nextPageToken: string;
}

/** Ada's own lists, and a backend's. */
interface List {
  readonly name: string;
  readonly usual: number;
  readonly most: number;
  readonly call: (page: { pageSize?: number; pageToken?: string }) => Promise<Page>;
}

async function startWithLists(wire: Wire, rows: number): Promise<{ service: TestService; lists: List[] }> {
  const service = await start();
  const { account, as, user } = await service.welcome(ada);
  await fill(service, { accountId: account.id, userId: user.id, rows });
  const { sessions, accounts, admin } = service.clients(wire);
  const accountId = account.id;
  const of = { usual: 20, most: 100 };
  const lists: List[] = [
    { name: 'ListSessions', ...of, call: async (page) => pageOf(await sessions.listSessions(page, as)) },
    { name: 'ListAccounts', ...of, call: async (page) => pageOf(await accounts.listAccounts(page, as)) },
    {
      name: 'ListMembers',
      ...of,
      call: async (page) => pageOf(await accounts.listMembers({ accountId, ...page }, as)),
    },
    {
      name: 'ListAccountInvites',
      ...of,
      call: async (page) => pageOf(await accounts.listAccountInvites({ accountId, ...page }, as)),
    },
    { name: 'ListInviteCodes', ...of, call: async (page) => pageOf(await admin.listInviteCodes(page, asService)) },
    { name: 'ListUsers', usual: 50, most: 200, call: async (page) => pageOf(await admin.listUsers(page, asService)) },
    {
      name: 'ListUsers (prefix)',
      usual: 50,
      most: 200,
      call: async (page) => pageOf(await admin.listUsers({ emailPrefix: 'row', ...page }, asService)),
    },
    {
      name: 'ListAuditEvents',
      usual: 100,
      most: 500,
      call: async (page) => pageOf(await admin.listAuditEvents(page, asService)),
    },
  ];
  return { service, lists };
}

function pageOf({ nextPageToken, ...response }: { nextPageToken: string; $typeName: string }): Page {
  return { items: Object.values<unknown>(response).find((each) => Array.isArray(each))!, nextPageToken };
}

/** So many rows in each list. All users are in Ada's account, and she is in all accounts. */
async function fill(
  { database }: TestService,
  { accountId, userId, rows }: Record<'accountId' | 'userId', string> & { rows: number },
) {
  await database.query(`
    create function pg_temp.id(kind int, n int) returns uuid language sql immutable as
      $$ select ('019a0000-000' || kind || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
    create temp table own as select '${accountId}'::uuid as account, '${userId}'::uuid as ada, project_id as project
      from users where id = '${userId}';
    insert into users (id, project_id, email, email_key, name, current_account_id, app_metadata, user_metadata, created_at, updated_at)
      select pg_temp.id(1, n), project, 'row' || n || '@x.org', 'row' || n || '@x.org', 'n', account, '{}', '{}', now(), now()
      from own, generate_series(1, ${rows}) n;
    insert into memberships (id, project_id, account_id, user_id, role, created_at)
      select pg_temp.id(2, n), project, account, pg_temp.id(1, n), 'viewer', now() from own, generate_series(1, ${rows}) n;
    insert into accounts (id, project_id, name, display_code, owner_id, created_at, updated_at)
      select pg_temp.id(3, n), project, 'n', lpad(n::text, 8, '0'), ada, now(), now() from own, generate_series(1, ${rows}) n;
    insert into subscriptions (account_id, project_id, plan, status, created_at, updated_at)
      select pg_temp.id(3, n), project, 'pro', 'canceled', now(), now() from own, generate_series(1, ${rows}) n;
    insert into memberships (id, project_id, account_id, user_id, role, created_at)
      select pg_temp.id(4, n), project, pg_temp.id(3, n), ada, 'owner', now() from own, generate_series(1, ${rows}) n;
    insert into account_invites (id, project_id, account_id, code_hash, email, email_key, role, inviter_id, created_at, expires_at)
      select pg_temp.id(5, n), project, account, sha256(n::text::bytea), n || '@y.org', n || '@y.org', 'viewer', ada, now(), now()
      from own, generate_series(1, ${rows}) n;
    insert into invite_codes (id, project_id, code, created_at)
      select pg_temp.id(6, n), project, 'CODE-' || n, now() from own, generate_series(1, ${rows}) n;
    insert into sessions (id, project_id, user_id, kind, aal, amr, generation, secret_hash, user_agent, address, created_at,
        refreshed_at, idle_seconds, idle_expires_at, expires_at, refresh_window_at, refresh_count)
      select pg_temp.id(7, n), project, ada, 'web', 1, '[]', 0, sha256(n::text::bytea), 'a browser', '192.0.2.1', now(), now(),
        604800, now() + interval '7 days', now() + interval '30 days', now(), 0
      from own, generate_series(1, ${rows}) n;
    insert into audit_events (id, project_id, at, action, result, actor_kind, user_id, address, user_agent, request_id)
      select pg_temp.id(8, n), project, now(), 'auth.login', 'SUCCESS', 'anyone', ada, '192.0.2.1', 'a browser', 'r'
      from own, generate_series(1, ${rows}) n`);
}

describe.each(wires)('over %s', (wire) => {
  test('a page has the usual size, the size that is asked for, or at most the maximum', async () => {
    const { lists } = await startWithLists(wire, 510);
    for (const { name, usual, most, call } of lists) {
      const sizeOf = async (pageSize: number) => (await call({ pageSize })).items.length;
      expect(await sizeOf(0), name).toBe(usual);
      expect(await sizeOf(3), name).toBe(3);
      for (const pageSize of [most + 1, 1_000_000, 2 ** 31 - 1]) expect(await sizeOf(pageSize), name).toBe(most);
      for (const pageSize of [-1, -(2 ** 31)])
        expect(await refusalOf(call({ pageSize })), name).toMatchObject({
          reason: 'INVALID_ARGUMENT',
          fields: ['page_size'],
        });
    }
  });

  test('a token leads on in its own list, whatever the size of the next page, and in no other list', async () => {
    const { lists } = await startWithLists(wire, 5);
    const all = new Map(
      await Promise.all(lists.map(async ({ name, call }) => [name, (await call({})).items] as const)),
    );
    for (const { name, call } of lists) {
      const { items, nextPageToken: pageToken } = await call({ pageSize: 2 });
      const rest = await call({ pageToken });
      expect([...items, ...rest.items], name).toEqual(all.get(name));
      for (const other of lists)
        if (other.name !== name)
          expect((await refusalOf(other.call({ pageToken }))).reason, `${name} in ${other.name}`).toBe(
            'PAGE_TOKEN_INVALID',
          );
    }
  });

  test('a token is refused after any change to it', async () => {
    const { lists } = await startWithLists(wire, 5);
    for (const { name, call } of lists) {
      const { nextPageToken: token } = await call({ pageSize: 2 });
      const bytes = Buffer.from(token, 'base64url');
      const flipped = (at: number) => Buffer.from(bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)));
      const forged = [flipped(0), flipped(31), flipped(32), flipped(bytes.length - 1), bytes.subarray(0, 32)];
      const texts = [`${token}=`, `${token}A`, ` ${token}`, token.slice(1), 'x', 'A'.repeat(64)];
      for (const pageToken of [...forged.map((each) => each.toString('base64url')), ...texts])
        expect((await refusalOf(call({ pageToken }))).reason, `${name}: ${pageToken}`).toBe('PAGE_TOKEN_INVALID');
    }
  });

  test('a token is refused to another caller, and with another filter', async () => {
    const { service, lists } = await startWithLists(wire, 5);
    const { accounts, admin } = service.clients(wire);
    const owner = await service.signIn(ada);
    const other = await service.welcome(bob);
    const operator = await service.operator();
    const accountId = owner.account.id;
    await accounts.addMember({ accountId, userId: other.user.id, role: AccountRole.ADMIN }, asService);
    const tokenOf = async (name: string) =>
      (await lists.find((each) => each.name === name)!.call({ pageSize: 1 })).nextPageToken;
    const ofMembers = { accountId, pageToken: await tokenOf('ListMembers') };
    const ofUsers = { pageToken: await tokenOf('ListUsers') };
    const ofEvents = { pageToken: await tokenOf('ListAuditEvents') };
    await accounts.listMembers(ofMembers, owner.as);
    for (const call of [
      () => accounts.listMembers(ofMembers, other.as),
      () => accounts.listMembers({ ...ofMembers, accountId: '019a0000-0003-7000-8000-000000000001' }, owner.as),
      () => admin.listUsers(ofUsers, operator.as),
      () => admin.listUsers({ ...ofUsers, banned: false }, asService),
      () => admin.listUsers({ ...ofUsers, emailPrefix: 'row' }, asService),
      () => admin.listAuditEvents(ofEvents, operator.as),
      () => admin.listAuditEvents({ ...ofEvents, action: 'auth.login' }, asService),
      () => admin.listAuditEvents({ ...ofEvents, userId: owner.user.id }, asService),
      () => admin.listAuditEvents({ ...ofEvents, startTime: { seconds: 0n } }, asService),
    ])
      expect((await refusalOf(call())).reason, `${call}`).toBe('PAGE_TOKEN_INVALID');
  });
});

const key = (id: string) => ({ id, key: Buffer.alloc(32, id) });

/** A call of ListMembers by a user in a project. */
function callIn(project: string, userId = 'ada'): HandlerContext {
  const values = createContextValues().set(kProject, project);
  values.set(kCaller, { kind: 'user', projectId: project, userId } as UserCaller);
  return { method: AccountService.method.listMembers, values } as unknown as HandlerContext;
}

test('a token is of no use in another project, and survives the rotation of the master key', () => {
  const request = (pageToken: string) => create(ListMembersRequestSchema, { accountId: 'a', pageToken });
  const pageToken = new PageTokens(new MasterKeys([key('old')])).write(callIn('one'), request(''), 'here');
  const read = (keys: string[], context = callIn('one')) =>
    new PageTokens(new MasterKeys(keys.map(key))).read(context, request(pageToken));
  expect(read(['old'])).toBe('here');
  expect(read(['new', 'old'])).toBe('here');
  expect(() => read(['old'], callIn('two'))).toThrow(Refusal);
  expect(() => read(['old'], callIn('one', 'bob'))).toThrow(Refusal);
  expect(() => read(['new'])).toThrow(Refusal);
});
