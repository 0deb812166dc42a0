import { expect, test } from 'vitest';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { SettingName, SigningKeyState } from '../../gen/gatehouse/v1/admin_pb.ts';
import { defaultProjectId } from '../../src/project/project.ts';
import { ada, asService, bob, testEnv } from '../support/people.ts';
import { run } from '../support/process.ts';
import { refusalOf } from '../support/refusal.ts';
import { start, type TestService, type Wire, wires } from '../support/start.ts';
import { webhook } from '../support/webhook.ts';

type Entity = readonly [action: string, type: string, id: string];

/** The entities of the events that were added last, oldest first. */
async function lastEntities(service: TestService, wire: Wire, pageSize = 1): Promise<Entity[]> {
  const { events } = await service.clients(wire).admin.listAuditEvents({ pageSize }, asService);
  return events.map(({ action, entityType, entityId }) => [action, entityType, entityId] as const).reverse();
}

test.each(wires)('over %s the events of an account name the account or the invitation', async (wire) => {
  const service = await start();
  const { accounts } = service.clients(wire);
  const { account, as } = await service.welcome({ ...ada, emailVerified: true });
  const guest = await service.welcome({ ...bob, emailVerified: true });
  const { user: other } = guest;
  const { id: accountId } = account;
  const last = async () => (await lastEntities(service, wire))[0];
  await accounts.updateAccount({ accountId, name: 'Engines' }, as);
  expect(await last()).toEqual(['account.update', 'account', accountId]);
  const draft = { accountId, email: bob.email, role: AccountRole.VIEWER };
  const { invite } = await accounts.createAccountInvite(draft, as);
  expect(await last()).toEqual(['account.invite', 'account_invite', invite!.id]);
  await accounts.revokeAccountInvite({ accountId, inviteId: invite!.id }, as);
  expect(await last()).toEqual(['account.invite_revoke', 'account_invite', invite!.id]);
  const { accountInviteCode } = await accounts.createAccountInvite(draft, asService);
  await accounts.acceptAccountInvite({ accountInviteCode }, guest.as);
  expect(await last()).toEqual(['account.join', 'account', accountId]);
  await accounts.updateMember({ accountId, userId: other.id, role: AccountRole.MEMBER }, as);
  expect(await last()).toEqual(['account.member_update', 'account', accountId]);
  await accounts.removeMember({ accountId, userId: other.id }, as);
  expect(await last()).toEqual(['account.member_remove', 'account', accountId]);
  await accounts.addMember({ accountId, userId: other.id, role: AccountRole.MEMBER }, asService);
  expect(await last()).toEqual(['account.member_add', 'account', accountId]);
  const data = { account_id: accountId, status: 'active', plan: 'pro' };
  await accounts.applyBillingEvent(webhook({ data, timestamp: service.now() }));
  expect(await last()).toEqual(['account.subscription', 'account', accountId]);
  const { code } = await accounts.getReferral({}, guest.as);
  await accounts.redeemReferral({ code: ` ${code.toUpperCase()} ` }, as);
  expect(await last()).toEqual(['referral.redeem', 'referral_code', code]);
});

test.each(wires)('over %s the events of codes, settings, keys, sessions and projects name them', async (wire) => {
  const service = await start();
  const { admin, sessions } = service.clients(wire);
  const last = async () => (await lastEntities(service, wire))[0];
  const { inviteCode } = await admin.createInviteCode({}, asService);
  expect(await last()).toEqual(['invite_code.create', 'invite_code', inviteCode!.id]);
  await admin.updateSettings(
    { settings: { emailVerification: false, signUp: true }, reset: [SettingName.AUTO_CONFIRM_EMAIL] },
    asService,
  );
  expect(await last()).toEqual(['settings.update', 'settings', 'sign_up,auto_confirm_email,email_verification']);
  await admin.updateSettings({ reset: [SettingName.SIGN_UP] }, asService);
  expect(await last()).toEqual(['settings.update', 'settings', 'sign_up']);
  service.pass(301);
  const { keys } = await admin.rotateSigningKey({}, asService);
  const active = keys.find(({ state }) => state === SigningKeyState.ACTIVE)!;
  expect(await last()).toEqual(['key.rotate', 'signing_key', active.id]);
  await admin.revokeSigningKey({ signingKeyId: active.id }, asService);
  expect(await last()).toEqual(['key.revoke', 'signing_key', active.id]);
  const { user, as } = await service.welcome(ada);
  const { session } = await service.signIn(ada);
  expect(await last()).toEqual(['auth.login', 'user', user.id]);
  await sessions.revokeSession({ sessionId: session.id }, as);
  expect(await last()).toEqual(['session.revoke', 'session', session.id]);
  await sessions.signOut({}, as);
  expect(await last()).toEqual(['auth.logout', 'user', user.id]);
  await admin.revokeUserSessions({ whose: { case: 'everybody', value: true } }, asService);
  expect(await last()).toEqual(['project.revoke_sessions', 'project', defaultProjectId]);
  await refusalOf(service.clients(wire).auth.signIn({ ...ada, email: 'nobody@example.org' }));
  expect(await last(), 'a user who does not exist').toEqual(['auth.login_failed', 'user', '']);
});

test('the events of the command line name the key', async () => {
  const service = await start();
  const env = { DATABASE_URL: service.database.url, MASTER_KEYS: testEnv.MASTER_KEYS };
  expect(await run(['keys', 'rotate', '--force'], env)).toMatchObject({ code: 0 });
  const [active] = await service.database.query<{ id: string }>(`select id from signing_keys where state = 'active'`);
  expect(await lastEntities(service, 'json')).toEqual([['key.rotate', 'signing_key', active!.id]]);
  expect(await run(['keys', 'revoke', active!.id], env)).toMatchObject({ code: 0 });
  expect(await lastEntities(service, 'json')).toEqual([['key.revoke', 'signing_key', active!.id]]);
});
