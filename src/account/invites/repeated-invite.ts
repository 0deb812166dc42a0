import { createHmac } from 'node:crypto';
import type { HandlerContext } from '@connectrpc/connect';
import type { MasterKeys } from '../../crypto/master-keys.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import type { Made } from '../../request-id/request-id-table.ts';
import { anyCaller, autocommit, projectOf } from '../../rpc/context.ts';
import { ownPlace, requireRole } from '../members.ts';
import { codeFrom, type ShownInvite, shownInviteColumns } from './invite.ts';

/** What is kept of CreateAccountInvite with a request id. */
export interface KeptInvite extends Made {
  readonly inviteId: string;
  readonly mailed: boolean;
  /** The id of the master key that the code was computed with. Null when the response had no code. */
  readonly codeKeyId: string | null;
}

/**
 * The code of an invitation with a request id, where the response contains it. Computed, so that a repeat returns the same
 * code although the database has only its hash.
 */
export function repeatableCode(keys: MasterKeys, inviteId: string, keyId = keys.activeId): string {
  const key = keys.derive('code of an account invite', keyId);
  if (!key) throw new Error(`the master key '${keyId}' of the code is not configured`);
  return codeFrom(createHmac('sha256', key).update(inviteId).digest().subarray(0, 24));
}

const findInvite = statement<ShownInvite, { projectId: string; inviteId: string }>(
  'account_invite_repeated',
  `select ${shownInviteColumns} from account_invites where project_id = :projectId and id = :inviteId`,
);

/** An invitation of an earlier call. Throws unless the caller may still see the invitations of the account. */
export async function readInvite(context: HandlerContext, accountId: string, inviteId: string): Promise<ShownInvite> {
  const on = autocommit(context);
  if (anyCaller(context).kind === 'user') await requireRole(on, ownPlace(context, accountId), 'admin');
  const [found] = await findInvite(on, { projectId: projectOf(context), inviteId });
  if (!found) throw new Refusal('ACCOUNT_NOT_FOUND');
  return found;
}
