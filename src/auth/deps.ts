import type { Joining } from '../account/invites/joining.ts';
import type { Quotas } from '../account/usage/quota.ts';
import type { Clock } from '../database/clock.ts';
import type { MailedCodes } from '../one-time/code.ts';
import type { SessionOpener } from '../session/session-opener.ts';
import type { FailedAttempts } from '../throttle/failed-attempts.ts';
import type { MailBudget } from '../throttle/mail-budget.ts';
import type { Passwords } from '../user/password.ts';
import type { UserMail } from './user-mail.ts';

/** What AuthService's methods work with. */
export interface AuthDeps {
  readonly now: Clock;
  readonly passwords: Passwords;
  readonly opener: SessionOpener;
  readonly userMail: UserMail;
  /** Mails that anyone may have sent to an address. */
  readonly mailBudget: MailBudget;
  /** Codes in mails. */
  readonly codes: MailedCodes;
  /** Failed sign-ins. */
  readonly passwordFailures: FailedAttempts;
  /** Wrong codes. */
  readonly wrongCodes: FailedAttempts;
  /** Wrong passwords of who is signed in already. */
  readonly ownPasswordFailures: FailedAttempts;
  /** Counts a check of the user's own password. Throws OVER_REQUEST_RATE_LIMIT. */
  readonly countGuess: (userId: string) => Promise<void>;
  readonly joining: Joining;
  /** Undefined where usage is off. */
  readonly usage: Quotas | undefined;
  readonly signUp: boolean;
  readonly autoConfirmEmail: boolean;
  readonly emailVerification: boolean;
  readonly requireVerifiedEmail: boolean;
  readonly hideRegistration: boolean;
  readonly passwordMinLength: number;
}
