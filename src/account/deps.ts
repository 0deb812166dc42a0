import type { ServiceImpl } from '@connectrpc/connect';
import type { AccountService } from '../../gen/gatehouse/v1/account_pb.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Clock } from '../database/clock.ts';
import type { Messages } from '../mail/mail-messages.ts';
import type { Outbox } from '../mail/outbox.ts';
import type { Projects } from '../project/projects.ts';
import type { ConfiguredSettings } from '../project/settings.ts';
import type { RequestIds } from '../request-id/request-ids.ts';
import type { Paging } from '../rpc/paging.ts';
import type { MailBudget } from '../throttle/mail-budget.ts';
import type { Joining } from './invites/joining.ts';
import type { Quotas } from './usage/quota.ts';

export type AccountMethods = ServiceImpl<typeof AccountService>;

/** What AccountService's methods work with. */
export interface AccountDeps {
  readonly now: Clock;
  readonly requestIds: RequestIds;
  readonly keys: MasterKeys;
  readonly paging: Paging;
  readonly joining: Joining;
  readonly outbox: Outbox;
  readonly messages: Messages;
  /** Mails that anyone may have sent to an address. */
  readonly mailBudget: MailBudget;
  /** Whether addresses are verified by mail. */
  readonly registration: ConfiguredSettings;
  /** Undefined where USAGE is off. */
  readonly usage: Quotas | undefined;
  /** BILLING_WEBHOOK_SECRETS. */
  readonly billingSecrets: readonly Uint8Array[];
  readonly projects: Projects;
}
