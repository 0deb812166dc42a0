import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { AccountService } from '../../gen/gatehouse/v1/account_pb.ts';
import { audit } from '../audit/event.ts';
import type { Clock } from '../database/clock.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { autocommit, caller, change, projectOf } from '../rpc/context.ts';
import { pageOf } from '../rpc/paging.ts';
import { lockUser } from '../user/user.ts';
import { accountOf, listAccounts } from './account.ts';
import type { InvitationMailDeps } from './invites/invite-mail.ts';
import type { Joining } from './invites/joining.ts';
import { inviteMethods } from './invites/service.ts';
import {
  addMember,
  type Change,
  enterAccount,
  findMember,
  listMembers,
  ownPlace,
  permitChange,
  removeMember,
  requireRole,
  setMemberRole,
} from './members.ts';
import { accountToMessage, memberToMessage, roleOf } from './message.ts';
import type { Quotas } from './usage/account-summary.ts';
import { usageMethods } from './usage/service.ts';

export interface Deps extends InvitationMailDeps {
  readonly now: Clock;
  readonly joining: Joining;
  /** Undefined where usage is off. */
  readonly usage: Quotas | undefined;
  readonly billingSecrets: readonly Uint8Array[];
  readonly frontendUrl: string;
}

const rename = statement<{ id: string }>(
  'account_rename',
  'update accounts set name = $3, updated_at = $4 where project_id = $1 and id = $2 returning id',
);

export function accountService(deps: Deps): ServiceImpl<typeof AccountService> {
  return { ...accountMethods(deps), ...memberMethods(deps), ...inviteMethods(deps), ...usageMethods(deps) };
}

type Methods<Name extends keyof ServiceImpl<typeof AccountService>> = Pick<ServiceImpl<typeof AccountService>, Name>;

function accountMethods({ now }: Deps): Methods<'getAccount' | 'listAccounts' | 'updateAccount' | 'switchAccount'> {
  const shown = async (context: HandlerContext, accountId: string) => {
    const { projectId, userId } = caller(context);
    return accountToMessage(await accountOf(autocommit(context), projectId, accountId, userId));
  };

  return {
    async getAccount({ accountId }, context) {
      return { account: await shown(context, accountId) };
    },

    async listAccounts(request, context) {
      const { userId } = caller(context);
      const { rows, nextPageToken } = await pageOf(request, 'membershipId', (page) =>
        listAccounts(autocommit(context), userId, page),
      );
      return { accounts: rows.map(accountToMessage), nextPageToken };
    },

    async updateAccount({ accountId, name }, context) {
      const place = ownPlace(context, accountId);
      const account = await change(context, async (em) => {
        await requireRole(em, place, 'admin');
        await rename(em, [place.projectId, accountId, name, now()]);
        audit(em, context, { action: 'account.update' }, now());
        return accountOf(em, place.projectId, accountId, place.userId);
      });
      return { account: accountToMessage(account) };
    },

    async switchAccount({ accountId }, context) {
      await enterAccount(autocommit(context), ownPlace(context, accountId));
      return { account: await shown(context, accountId) };
    },
  };
}

function memberMethods({ now, joining }: Deps): Methods<'listMembers' | 'addMember' | 'updateMember' | 'removeMember'> {
  return {
    async listMembers(request, context) {
      const { accountId } = request;
      await requireRole(autocommit(context), ownPlace(context, accountId), 'viewer');
      const { rows, nextPageToken } = await pageOf(request, 'membershipId', (page) =>
        listMembers(autocommit(context), accountId, page),
      );
      return { members: rows.map(memberToMessage), nextPageToken };
    },

    async addMember({ accountId, userId, role }, context) {
      const place = { projectId: projectOf(context), accountId, userId };
      const member = await change(context, async (em) => {
        const user = await lockUser(em, place.projectId, userId);
        if (user.isAnonymous) throw new Refusal('REGISTRATION_REQUIRED');
        await addMember(em, place, roleOf(role), now());
        audit(em, context, { action: 'account.member_add', userId }, now());
        return findMember(em, place);
      });
      return { member: memberToMessage(member) };
    },

    async updateMember({ accountId, userId, role }, context) {
      const asked = changeOf(context, accountId, userId);
      const member = await change(context, async (em) => {
        await permitChange(em, asked, roleOf(role), now());
        await setMemberRole(em, asked, roleOf(role), now());
        audit(em, context, { action: 'account.member_update', userId: asked.userId }, now());
        return findMember(em, asked);
      });
      return { member: memberToMessage(member) };
    },

    async removeMember({ accountId, userId }, context) {
      const asked = changeOf(context, accountId, userId);
      await change(context, async (em) => {
        await permitChange(em, asked, undefined, now());
        const user = await lockUser(em, asked.projectId, asked.userId);
        const { isHomeless } = await removeMember(em, asked, now());
        if (isHomeless) await joining.rehome(em, user, now());
        audit(em, context, { action: 'account.member_remove', userId: asked.userId }, now());
      });
      return {};
    },
  };
}

/** A UUID has two spellings, and the rules compare ids. */
function changeOf(context: HandlerContext, accountId: string, userId: string): Change {
  const { projectId, userId: by } = caller(context);
  return { projectId, accountId, by, userId: userId.toLowerCase() };
}
