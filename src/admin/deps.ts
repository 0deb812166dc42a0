import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService } from '../../gen/gatehouse/v1/admin_pb.ts';
import type { Joining } from '../account/invites/joining.ts';
import type { Quotas } from '../account/usage/quota.ts';
import type { ServiceKey } from '../api-key/service-key.ts';
import type { UserMail } from '../auth/user-mail.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Clock } from '../database/clock.ts';
import type { FactorMail } from '../mfa/factor-mail.ts';
import type { Projects } from '../project/projects.ts';
import type { SettingVariable } from '../project/settings.ts';
import type { RequestIds } from '../request-id/request-ids.ts';
import type { Paging } from '../rpc/paging.ts';
import type { KeyRing } from '../session/key-ring.ts';
import type { SessionOpener } from '../session/session-opener.ts';
import type { FailedAttempts } from '../throttle/failed-attempts.ts';
import type { MailBudget } from '../throttle/mail-budget.ts';
import type { Passwords } from '../user/password.ts';

export type AdminMethods = ServiceImpl<typeof AdminService>;

/** What AdminService's methods work with. */
export interface AdminDeps {
  readonly now: Clock;
  readonly requestIds: RequestIds;
  readonly paging: Paging;
  readonly passwords: Passwords;
  readonly keys: MasterKeys;
  readonly ring: KeyRing;
  readonly opener: SessionOpener;
  readonly joining: Joining;
  readonly userMail: UserMail;
  readonly factorMail: FactorMail;
  readonly mailBudget: MailBudget;
  /** OAUTH_CLIENTS. */
  readonly oauthClients: readonly { readonly id: string; readonly digest?: Buffer | undefined }[];
  readonly projects: Projects;
  /** SERVICE_KEYS. */
  readonly serviceKeys: readonly ServiceKey[];
  /** Reads a setting from its text, by the rules of the configuration. */
  readonly readSetting: (
    variable: SettingVariable,
    text: string,
  ) => { readonly value: unknown } | { readonly fault: string };
  /** What is wrong with the scopes of a service key. */
  readonly scopesFault: (scopes: readonly string[]) => string | undefined;
  /** Whether a service key is empty or well known, by its digest. */
  readonly isGuessableDigest: (sha256: string) => boolean;
  readonly passwordFailures: FailedAttempts;
  readonly ownPasswordFailures: FailedAttempts;
  /** Undefined where USAGE is off. */
  readonly usage: Quotas | undefined;
}
