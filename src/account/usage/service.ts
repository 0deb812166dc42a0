import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { AccountService, ConsumeUsageRequest } from '../../../gen/gatehouse/v1/account_pb.ts';
import { audit } from '../../audit/event.ts';
import { Refusal } from '../../errors.ts';
import { anyCaller, autocommit, caller, change, projectOf } from '../../rpc/context.ts';
import { applyBillingEvent, readBillingEvent, verifyWebhook } from '../billing/webhook.ts';
import { outcomeToMessage, usageToMessage } from '../message.ts';
import type { Deps } from '../service.ts';
import { redeemReferral, referralLimit, referralOf } from './referral.ts';
import { type Subject, UsageMeter } from './usage.ts';

type Methods = Pick<
  ServiceImpl<typeof AccountService>,
  'getUsage' | 'consumeUsage' | 'getReferral' | 'redeemReferral' | 'applyBillingEvent'
>;

export function usageMethods({ now, usage, billingSecrets, frontendUrl }: Deps): Methods {
  const meter = usage && new UsageMeter(usage);
  const countedBy = (): UsageMeter => {
    if (!meter) throw new Refusal('USAGE_DISABLED');
    return meter;
  };

  return {
    async getUsage({ subject }, context) {
      const state = await countedBy().read(autocommit(context), subjectOf(subject, context), now());
      return { usage: usageToMessage(state) };
    },

    async consumeUsage({ amount, subject }, context) {
      const state = await countedBy().consume(autocommit(context), subjectOf(subject, context), amount, now());
      return { usage: usageToMessage(state) };
    },

    async getReferral(_, context) {
      countedBy();
      const { projectId, userId } = caller(context);
      const { code, count } = await referralOf(autocommit(context), projectId, userId, now());
      const link = `${frontendUrl}/?referral_code=${encodeURIComponent(code)}`;
      return { code, count, limit: referralLimit, link };
    },

    async redeemReferral({ code }, context) {
      const meter = countedBy();
      const { projectId, userId } = caller(context);
      const state = await change(context, async (em) => {
        await redeemReferral(em, { projectId, userId, code }, now());
        audit(em, context, { action: 'referral.redeem' }, now());
        return meter.read(em, { projectId, userId }, now());
      });
      return { usage: usageToMessage(state) };
    },

    async applyBillingEvent(webhook, context) {
      verifyWebhook(webhook, billingSecrets, now());
      const event = readBillingEvent(webhook.payload);
      const outcome = await change(context, async (em) => {
        const { outcome, ownerId } = await applyBillingEvent(em, projectOf(context), webhook.webhookId, event, now());
        if (outcome === 'applied')
          audit(em, context, { action: 'account.subscription', userId: ownerId ?? undefined }, now());
        return outcome;
      });
      return { outcome: outcomeToMessage[outcome] };
    },
  };
}

/** A user speaks of themselves only; a backend says of whom it speaks. */
function subjectOf(named: ConsumeUsageRequest['subject'], context: HandlerContext): Subject {
  const who = anyCaller(context);
  const { projectId } = who;
  if (who.kind === 'user') {
    if (named.case) throw new Refusal('CALLER_NOT_ALLOWED');
    return { projectId, userId: who.userId };
  }
  if (!named.case) throw new Refusal('INVALID_ARGUMENT', { fields: [{ field: 'subject', description: 'required' }] });
  return named.case === 'userId' ? { projectId, userId: named.value } : { projectId, fingerprint: named.value };
}
