import { Refusal } from '../errors.ts';
import { anyCaller, autocommit, projectOf } from '../rpc/context.ts';
import { namedRead } from '../session/named-read.ts';
import type { AccountMethods } from './deps.ts';
import { accountIn, ownPlace } from './members.ts';
import { accountToMessage } from './message.ts';
import { accountOf, anyAccount, type ShownAccount, shownToMember } from './shown-account.ts';

/** The account that the request names, as the caller sees it. Null unless the caller is a member. */
export const ownAccount = namedRead<{ account: ShownAccount | null }, { accountId: string | null }>(
  'session_state_account',
  (message) => ({ accountId: accountIn(message) }),
  `${shownToMember(':accountId::uuid', ':userId')} as account`,
);

export const getAccount: AccountMethods['getAccount'] = async ({ accountId }, context) => {
  const on = autocommit(context);
  const caller = anyCaller(context);
  if (caller.kind === 'service')
    return { account: accountToMessage(await anyAccount(on, { projectId: projectOf(context), accountId })) };
  if (caller.apiKey) return { account: accountToMessage(await accountOf(on, ownPlace(context, accountId))) };
  const { account } = ownAccount.of(context);
  if (!account) throw new Refusal('ACCOUNT_NOT_FOUND');
  return { account: accountToMessage(account) };
};
