import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../../audit/event.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import { change } from '../../rpc/context.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import { ownPlace, requireRole } from '../members.ts';
import { revokePending } from './invite.ts';

export function revokeAccountInvite({ now }: AccountDeps): AccountMethods['revokeAccountInvite'] {
  return async ({ accountId, inviteId }, context) => {
    const place = ownPlace(context, accountId);
    await change(context, async (em) => {
      await requireRole(em, place, 'admin');
      const revoked = await revokeOne(em, { ...place, inviteId, now: now() });
      if (revoked.length === 0) throw new Refusal('ACCOUNT_INVITE_NOT_FOUND');
      audit(em, context, { action: 'account.invite_revoke', entityId: revoked[0]!.id }, now());
    });
    return {};
  };
}

const revokeOne = statement<{ id: string }, { projectId: string; accountId: string; inviteId: string; now: Date }>(
  'account_invite_revoke',
  `with ${revokePending('i.id = :inviteId and i.project_id = :projectId and i.account_id = :accountId')}
   select id from revoked`,
);

const revokeOfInviter = statement<{ id: string }, { inviterId: string; now: Date }>(
  'account_invites_revoke_by',
  `with ${revokePending('i.inviter_id = :inviterId')} select id from revoked`,
);

/**
 * Revokes the pending invitations of a user who is being banned. The caller holds the lock on the user's row, which
 * CreateAccountInvite takes as well: an invitation that is created meanwhile was committed before, or is refused.
 */
export async function revokeInvitesBy(em: EntityManager, inviterId: string, now: Date): Promise<void> {
  await revokeOfInviter(em, { inviterId, now });
}
