import { Refusal } from '../../errors.ts';
import { anyCaller, autocommit } from '../../rpc/context.ts';
import { ownRead } from '../../session/own-read.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import { usageToMessage } from '../message.ts';
import { type AccountSummary, accountSummaryOf, usageOf } from './account-summary.ts';
import { requireUsage } from './quota.ts';
import { readUsage, subjectOf } from './usage.ts';

/** What the usage of the caller follows from. */
export const ownUsage = ownRead<{ summary: AccountSummary | null }>(
  'session_states_usage',
  `${accountSummaryOf('named.user_id')} as summary`,
);

export function getUsage({ now, usage }: AccountDeps): AccountMethods['getUsage'] {
  return async ({ subject: named }, context) => {
    const quotas = requireUsage(usage);
    const subject = subjectOf(named, context);
    const caller = anyCaller(context);
    if (caller.kind === 'service' || caller.apiKey)
      return { usage: usageToMessage(await readUsage(autocommit(context), subject, quotas, now())) };
    const { summary } = ownUsage.of(context);
    if (!summary) throw new Refusal('USER_NOT_FOUND');
    return { usage: usageToMessage(usageOf(summary, quotas, now())) };
  };
}
