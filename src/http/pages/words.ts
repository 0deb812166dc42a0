import type { FactorWords } from './factor-words.ts';
import type { Notice } from './notice.ts';
import type { SignInWords } from './sign-in-words.ts';

/** The texts of a page with one button. */
export interface Deed {
  readonly title: string;
  /** What the button does. A reader who did not ask for it then knows to leave it alone. */
  readonly text: (site: string) => string;
  readonly button: string;
  readonly doneTitle: string;
  readonly done: string;
}

/** All texts of the pages in one language. */
export interface Words extends SignInWords, FactorWords {
  readonly verifyEmail: Deed;
  /** For a second press of the same link. */
  readonly alreadyVerified: Notice;
  readonly rejectRegistration: Deed;
  readonly confirmEmailChange: Deed;
  readonly resetPassword: Deed & {
    readonly account: string;
    readonly newPassword: string;
    readonly hint: (minLength: number) => string;
  };
  /** Why a password is refused, by the reason that the service gives. */
  readonly weak: Readonly<Record<'too_short' | 'common' | 'context', (minLength: string) => string>>;
  readonly passwordMissing: string;
  readonly passwordUnusable: string;
  /** Pages for links that only an application can use. */
  readonly forTheApplication: Readonly<Record<'magicLink' | 'invite' | 'referral', Notice>>;
  readonly troubles: Readonly<Record<Trouble, Notice>>;
  /** The link to the application. */
  readonly back: string;
  readonly wait: (seconds: number) => string;
  /** Precedes the title of a page that shows an error. */
  readonly error: string;
}

/** The kinds of errors that a reader has to distinguish. */
export type Trouble =
  | 'incomplete'
  | 'invalid'
  | 'dead'
  | 'used'
  | 'replaced'
  | 'expired'
  | 'taken'
  | 'verified'
  | 'foreign'
  | 'unreadable'
  | 'limited'
  | 'failed';
