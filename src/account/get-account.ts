import { anyCaller, autocommit, projectOf } from '../rpc/context.ts';
import type { AccountMethods } from './deps.ts';
import { ownPlace } from './members.ts';
import { accountToMessage } from './message.ts';
import { accountOf, anyAccount } from './shown-account.ts';

export const getAccount: AccountMethods['getAccount'] = async ({ accountId }, context) => {
  const on = autocommit(context);
  const found =
    anyCaller(context).kind === 'service'
      ? await anyAccount(on, { projectId: projectOf(context), accountId })
      : await accountOf(on, ownPlace(context, accountId));
  return { account: accountToMessage(found) };
};
