import { autocommit } from '../rpc/context.ts';
import type { AccountMethods } from './deps.ts';
import { ownPlace } from './members.ts';
import { accountToMessage } from './message.ts';
import { accountOf } from './shown-account.ts';

export const getAccount: AccountMethods['getAccount'] = async ({ accountId }, context) => ({
  account: accountToMessage(await accountOf(autocommit(context), ownPlace(context, accountId))),
});
