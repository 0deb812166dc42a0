import type { Joining } from '../account/invites/joining.ts';
import type { Quotas } from '../account/usage/quota.ts';
import type { Clock } from '../database/clock.ts';
import type { MailedCodes } from '../one-time/code.ts';
import type { Projects } from '../project/projects.ts';
import type { ConfiguredSettings } from '../project/settings.ts';
import type { RequestIds } from '../request-id/request-ids.ts';
import type { SessionOpener } from '../session/session-opener.ts';
import type { FailedAttempts } from '../throttle/failed-attempts.ts';
import type { MailBudget } from '../throttle/mail-budget.ts';
import type { SignInBudget } from '../throttle/sign-in-budget.ts';
import type { UserBudget } from '../throttle/user-budget.ts';
import type { DecoyHashes } from '../user/decoy-hashes.ts';
import type { Passwords } from '../user/password.ts';
import type { OAuthDeps } from './oauth/deps.ts';
import type { UserMail } from './user-mail.ts';

/** The dependencies and settings of AuthService's methods. */
export interface AuthDeps {
  readonly now: Clock;
  readonly requestIds: RequestIds;
  readonly passwords: Passwords;
  /** Undefined unless responses hide which addresses are registered. */
  readonly decoys: DecoyHashes | undefined;
  readonly opener: SessionOpener;
  readonly joining: Joining;
  readonly userMail: UserMail;
  /** How many mails one address is sent. */
  readonly mailBudget: MailBudget;
  /** The codes in mails. */
  readonly codes: MailedCodes;
  /** Failed sign-ins by password. */
  readonly passwordFailures: FailedAttempts;
  /** Wrong codes. */
  readonly wrongCodes: FailedAttempts;
  /** Wrong passwords that signed-in users gave as their own. */
  readonly ownPasswordFailures: FailedAttempts;
  /** How often a signed-in user's own password is checked. */
  readonly passwordChecks: UserBudget;
  /** Sign-ins by password, and by link or code. */
  readonly passwordSignIns: SignInBudget;
  readonly mailSignIns: SignInBudget;
  readonly registration: RegistrationSettings;
  readonly projects: Projects;
  readonly oauth: OAuthDeps;
  /** Undefined where usage is off. */
  readonly usage: Quotas | undefined;
}

/** The configured settings of registration. Some can be overridden at run time (project/settings.ts). */
export interface RegistrationSettings extends ConfiguredSettings {
  readonly requireVerifiedEmail: boolean;
  /** Whether users link and unlink identities. */
  readonly identityLinking: boolean;
  /** Whether a new password without the current one needs a recent sign-in or a code. */
  readonly securePasswordChange: boolean;
  /** Whether VerifyOtp recovers an account only together with a new password. */
  readonly recoveryRequiresPassword: boolean;
}
