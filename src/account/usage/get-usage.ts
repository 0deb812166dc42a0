import { autocommit } from '../../rpc/context.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import { usageToMessage } from '../message.ts';
import { requireUsage } from './quota.ts';
import { readUsage, subjectOf } from './usage.ts';

export function getUsage({ now, usage }: AccountDeps): AccountMethods['getUsage'] {
  return async ({ subject }, context) => {
    const quotas = requireUsage(usage);
    const state = await readUsage(autocommit(context), subjectOf(subject, context), quotas, now());
    return { usage: usageToMessage(state) };
  };
}
