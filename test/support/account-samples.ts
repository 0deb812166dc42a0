import type { JsonObject } from '@bufbuild/protobuf';
import type { CallOptions } from '@connectrpc/connect';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import { ada, asService, bob } from './people.ts';
import type { TestService } from './start.ts';
import { webhook } from './webhook.ts';

type Person = { email: string; password: string; name: string };
type Requests = Record<string, () => JsonObject | Promise<JsonObject>>;

/** Ada's account has Bob in it, and she is in his; both exist. Her address is verified. */
export async function accountSamples(
  service: TestService,
  { operator, newcomer }: { operator: { as: CallOptions }; newcomer: () => Person },
) {
  const { user, account, as } = await service.signIn(ada);
  const { user: other, account: others } = await service.signIn(bob);
  const { accounts, admin } = service.clients('json');
  await service.database.query('update users set email_verified_at = now() where id = $1', [user.id]);
  const { id: accountId } = account;
  await accounts.addMember({ accountId, userId: other.id, role: AccountRole.MEMBER }, asService);
  await accounts.addMember({ accountId: others.id, userId: user.id, role: AccountRole.VIEWER }, asService);
  const role = 'ACCOUNT_ROLE_VIEWER';
  const invite = () =>
    accounts.createAccountInvite({ accountId, email: newcomer().email, role: AccountRole.VIEWER }, as);
  const firstPage = { accountId, pageSize: 1 };
  const requests: Requests = {
    'AccountService.GetAccount': () => ({ accountId }),
    'AccountService.ListAccounts': async () => ({
      pageSize: 1,
      pageToken: (await accounts.listAccounts({ pageSize: 1 }, as)).nextPageToken,
    }),
    'AccountService.UpdateAccount': () => ({ accountId, name: 'Engines' }),
    'AccountService.SwitchAccount': () => ({ accountId }),
    'AccountService.ListMembers': async () => ({
      ...firstPage,
      pageToken: (await accounts.listMembers(firstPage, as)).nextPageToken,
    }),
    'AccountService.AddMember': async () => ({ accountId, userId: (await service.welcome(newcomer())).user.id, role }),
    'AccountService.UpdateMember': () => ({ accountId, userId: other.id, role }),
    'AccountService.RemoveMember': async () => {
      const { user } = await service.welcome(newcomer());
      await accounts.addMember({ accountId, userId: user.id, role: AccountRole.VIEWER }, asService);
      return { accountId, userId: user.id };
    },
    'AccountService.CreateAccountInvite': () => ({ accountId, email: newcomer().email, role }),
    'AccountService.ListAccountInvites': async () => {
      await invite();
      await invite();
      return { ...firstPage, pageToken: (await accounts.listAccountInvites(firstPage, as)).nextPageToken };
    },
    'AccountService.RevokeAccountInvite': async () => ({ accountId, inviteId: (await invite()).invite!.id }),
    'AccountService.AcceptAccountInvite': async () => {
      const host = await service.welcome(newcomer());
      const draft = { accountId: host.account.id, email: ada.email, role: AccountRole.MEMBER };
      return { accountInviteCode: (await accounts.createAccountInvite(draft, asService)).accountInviteCode };
    },
    'AccountService.GetUsage': () => ({}),
    'AccountService.ConsumeUsage': () => ({ amount: 1 }),
    'AccountService.GetReferral': () => ({}),
    'AccountService.RedeemReferral': async () => {
      const referrer = await service.welcome(newcomer());
      return { code: (await accounts.getReferral({}, referrer.as)).code };
    },
    'AccountService.ApplyBillingEvent': () => {
      const data = { account_id: accountId, status: 'active', plan: 'pro' };
      const { payload, ...headers } = webhook({ data, timestamp: service.now() });
      return { ...headers, payload: Buffer.from(payload).toString('base64') };
    },
    'AdminService.CreateInviteCode': () => ({ assignedPlan: 'team', trialDurationDays: 7, lifetime: '86400s' }),
    'AdminService.ListInviteCodes': async () => {
      await admin.createInviteCode({}, asService);
      await admin.createInviteCode({}, asService);
      const { nextPageToken } = await admin.listInviteCodes({ pageSize: 1 }, operator.as);
      return { pageSize: 1, pageToken: nextPageToken };
    },
  };
  /** The headers of a new caller, for methods that a user may call once. */
  const headers: Record<string, () => Promise<Record<string, string>>> = {
    'AccountService.RedeemReferral': async () => (await service.welcome(newcomer())).as.headers,
  };
  return { requests, headers };
}

type Refused = Record<string, [request: object, headers?: Record<string, string>][]>;

/** Requests that are refused, with the headers of their callers. */
export function accountRefusals(as: { headers: Record<string, string> }, nobody: string): Refused {
  const accountId = nobody;
  const { headers } = as;
  const event = { payload: Buffer.from('{}'), webhookId: 'e', webhookTimestamp: '1', webhookSignature: 'v1,x' };
  return {
    'AccountService.GetAccount': [[{ accountId }, headers], [{ accountId }], [{ accountId: 'x' }, headers]],
    'AccountService.ListAccounts': [[{ pageToken: 'x' }, headers], [{}]],
    'AccountService.UpdateAccount': [
      [{ accountId, name: 'x' }, headers],
      [{ accountId }, headers],
    ],
    'AccountService.SwitchAccount': [[{ accountId }, headers]],
    'AccountService.ListMembers': [[{ accountId }, headers]],
    'AccountService.AddMember': [
      [{ accountId, userId: nobody, role: 1 }, asService.headers],
      [{ accountId, userId: nobody, role: 1 }, headers],
    ],
    'AccountService.UpdateMember': [
      [{ accountId, userId: nobody, role: 2 }, headers],
      [{ accountId, userId: nobody }, headers],
    ],
    'AccountService.RemoveMember': [[{ accountId, userId: nobody }, headers]],
    'AccountService.CreateAccountInvite': [
      [{ accountId, email: bob.email, role: 3 }, headers],
      [{ accountId, email: bob.email, role: 1 }, headers],
    ],
    'AccountService.ListAccountInvites': [[{ accountId }, headers]],
    'AccountService.RevokeAccountInvite': [[{ accountId, inviteId: nobody }, headers]],
    'AccountService.AcceptAccountInvite': [[{ accountInviteCode: 'x' }, headers]],
    'AccountService.GetUsage': [
      [{}, asService.headers],
      [{ subject: { case: 'userId', value: nobody } }, asService.headers],
      [{ subject: { case: 'userId', value: nobody } }, headers],
      [{ subject: { case: 'fingerprint', value: '' } }, asService.headers],
    ],
    'AccountService.ConsumeUsage': [
      [{ amount: 1 }, asService.headers],
      [{ amount: 0 }, headers],
      [{ amount: 2501 }, headers],
    ],
    'AccountService.GetReferral': [[{}]],
    'AccountService.RedeemReferral': [[{ code: 'x' }, headers]],
    'AccountService.ApplyBillingEvent': [[event], [{}]],
    'AdminService.CreateInviteCode': [
      [{ trialDurationDays: 1 }, asService.headers],
      [{}, headers],
    ],
    'AdminService.ListInviteCodes': [[{ pageToken: 'x' }, asService.headers]],
  };
}
