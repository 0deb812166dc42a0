import { describe, expect, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { ada, asService, bob } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, wires } from '../support/start.ts';

const nobody = '01900000-0000-7000-8000-000000000000';
const metadata = { appMetadata: { plan: 'gold' }, userMetadata: { theme: 'dark' } };

describe.each(wires)('over %s', (wire) => {
  test('Introspect and GetUser return the verification, the account, the role and both metadata', async () => {
    const service = await start();
    const { admin, sessions, accounts } = service.clients(wire);
    const { user, account, tokens, as } = await service.welcome(ada);
    const host = await service.welcome(bob);
    const userId = user.id;
    const token = tokens.accessToken;
    const both = async () => {
      const { user: read } = await admin.getUser({ userId }, asService);
      const found = await sessions.introspect({ token }, asService);
      return [read, found];
    };
    for (const each of await both())
      expect(each).toMatchObject({
        emailVerified: false,
        accountId: account.id,
        accountRole: AccountRole.OWNER,
        appMetadata: {},
        userMetadata: {},
      });
    await admin.updateUser({ userId, emailVerified: true, ...metadata }, asService);
    const place = { accountId: host.account.id, role: AccountRole.VIEWER };
    await accounts.addMember({ ...place, userId }, asService);
    await accounts.switchAccount({ accountId: place.accountId }, as);
    const viewing = { accountId: place.accountId, accountRole: AccountRole.VIEWER };
    for (const each of await both()) expect(each).toMatchObject({ emailVerified: true, ...viewing, ...metadata });
    await accounts.removeMember({ accountId: place.accountId, userId }, host.as);
    for (const each of await both())
      expect(each).toMatchObject({ accountId: account.id, accountRole: AccountRole.OWNER });
  });

  test('a guest is in no account', async () => {
    const service = await start();
    const { admin, sessions } = service.clients(wire);
    const { user, tokens } = await service.guest();
    const { user: read } = await admin.getUser({ userId: user.id }, asService);
    const found = await sessions.introspect({ token: tokens.accessToken }, asService);
    for (const each of [read, found]) expect(each).toMatchObject({ accountId: '', accountRole: 0, appMetadata: {} });
  });

  test('a backend reads any account, its members, and the accounts of a user whom it names', async () => {
    const service = await start();
    const { accounts } = service.clients(wire);
    const { user, account, as } = await service.welcome(ada);
    const { id: accountId } = account;
    const { account: seen } = await accounts.getAccount({ accountId }, asService);
    expect(seen).toMatchObject({ id: accountId, ownerId: user.id, role: AccountRole.UNSPECIFIED });
    expect(seen!.subscription).toEqual((await accounts.getAccount({ accountId }, as)).account!.subscription);
    expect(await accounts.listMembers({ accountId }, asService)).toEqual(await accounts.listMembers({ accountId }, as));
    const userId = user.id.toUpperCase();
    expect(await accounts.listAccounts({ userId }, asService)).toEqual(await accounts.listAccounts({}, as));
    for (const call of [accounts.getAccount, accounts.listMembers])
      expect((await refusalOf(call({ accountId: nobody }, asService))).reason).toBe('ACCOUNT_NOT_FOUND');
    expect((await refusalOf(accounts.listAccounts({ userId: nobody }, asService))).reason).toBe('USER_NOT_FOUND');
    expect(await refusalOf(accounts.listAccounts({}, asService))).toMatchObject({ code: 3, fields: ['user_id'] });
    const other = accounts.listAccounts({ userId: user.id }, as);
    expect(await refusalOf(other)).toMatchObject({ code: 7, reason: 'CALLER_NOT_ALLOWED' });
  });

  test('operators and backends list all accounts page by page, those of one user, and read each', async () => {
    const service = await start();
    const { admin } = service.clients(wire);
    const { as: operator, account: own } = await service.operator();
    const first = await service.welcome(ada);
    const second = await service.welcome(bob);
    const page = await admin.listAccounts({ pageSize: 2 }, operator);
    const rest = await admin.listAccounts({ pageSize: 2, pageToken: page.nextPageToken }, operator);
    const ids = [...page.accounts, ...rest.accounts].map(({ id }) => id);
    expect(ids).toEqual([second.account.id, first.account.id, own.id]);
    const { accounts: theirs } = await admin.listAccounts({ userId: first.user.id }, asService);
    expect(theirs).toMatchObject([{ id: first.account.id, role: AccountRole.OWNER }]);
    const { account } = await admin.getAccount({ accountId: first.account.id }, asService);
    expect(account).toMatchObject({ id: first.account.id, role: AccountRole.UNSPECIFIED });
    expect((await refusalOf(admin.getAccount({ accountId: nobody }, operator))).reason).toBe('ACCOUNT_NOT_FOUND');
    expect((await refusalOf(admin.listAccounts({ userId: nobody }, operator))).reason).toBe('USER_NOT_FOUND');
  });

  test('operators and backends list the live sessions of a user and revoke one of them', async () => {
    const service = await start();
    const { admin, sessions } = service.clients(wire);
    const one = await service.welcome(ada);
    const two = await service.signIn(ada);
    const other = await service.welcome(bob);
    const userId = one.user.id;
    const listed = async () => (await admin.listUserSessions({ userId }, asService)).sessions.map(({ id }) => id);
    expect(await listed()).toEqual([two.session.id, one.session.id]);
    const page = await admin.listUserSessions({ userId, pageSize: 1 }, asService);
    const rest = await admin.listUserSessions({ userId, pageToken: page.nextPageToken }, asService);
    expect(rest.sessions).toMatchObject([{ id: one.session.id, userId, current: false }]);
    for (const sessionId of [other.session.id, nobody])
      expect((await refusalOf(admin.revokeUserSession({ userId, sessionId }, asService))).reason).toBe(
        'SESSION_NOT_FOUND',
      );
    await admin.revokeUserSession({ userId, sessionId: one.session.id.toUpperCase() }, asService);
    expect(await listed()).toEqual([two.session.id]);
    expect((await sessions.introspect({ token: one.tokens.accessToken }, asService)).active).toBe(false);
    expect((await sessions.introspect({ token: two.tokens.accessToken }, asService)).active).toBe(true);
    const again = admin.revokeUserSession({ userId, sessionId: one.session.id }, asService);
    expect((await refusalOf(again)).reason).toBe('SESSION_NOT_FOUND');
    expect((await refusalOf(admin.listUserSessions({ userId: nobody }, asService))).reason).toBe('USER_NOT_FOUND');
    const events = await service.database.query(
      `select user_id, session_id from audit_events where action = 'session.revoke'`,
    );
    expect(events).toEqual([{ user_id: userId, session_id: one.session.id }]);
  });
});
