import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { change } from '../rpc/context.ts';
import type { AccountDeps, AccountMethods } from './deps.ts';
import { ownPlace, requireRole } from './members.ts';
import { accountToMessage } from './message.ts';
import { accountOf } from './shown-account.ts';

const rename = statement<{ id: string }, { projectId: string; accountId: string; name: string; now: Date }>(
  'account_rename',
  `update accounts set name = :name, updated_at = :now where project_id = :projectId and id = :accountId returning id`,
);

export function updateAccount({ now }: AccountDeps): AccountMethods['updateAccount'] {
  return async ({ accountId, name }, context) => {
    const place = ownPlace(context, accountId);
    const account = await change(context, async (em) => {
      await requireRole(em, place, 'admin');
      await rename(em, { ...place, name, now: now() });
      audit(em, context, { action: 'account.update', entityId: place.accountId }, now());
      return accountOf(em, place);
    });
    return { account: accountToMessage(account) };
  };
}
