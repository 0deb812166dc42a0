/** A page with one button. */
export interface Deed {
  readonly title: string;
  /** What the button does, so that who did not ask for it leaves it alone. */
  readonly text: (site: string) => string;
  readonly button: string;
  readonly doneTitle: string;
  readonly done: string;
}

interface Notice {
  readonly title: string;
  readonly text: string;
}

/** Everything that the pages say, in one language. */
export interface Words {
  readonly verifyEmail: Deed;
  readonly confirmEmailChange: Deed;
  readonly resetPassword: Deed & {
    readonly account: string;
    readonly newPassword: string;
    readonly hint: (minLength: number) => string;
  };
  /** Of a password that is refused, by the service's reason. */
  readonly weak: Readonly<Record<'too_short' | 'common' | 'context', (minLength: string) => string>>;
  readonly passwordMissing: string;
  readonly passwordUnusable: string;
  /** Links that only an application can do something with. */
  readonly forTheApplication: Readonly<Record<'magicLink' | 'invite' | 'referral', Notice>>;
  readonly troubles: Readonly<Record<Trouble, Notice>>;
  readonly wait: (seconds: number) => string;
  /** Before the title of a page that tells of an error. */
  readonly error: string;
}

/** What may be wrong, as people need to tell it apart. */
export type Trouble = 'incomplete' | 'invalid' | 'dead' | 'taken' | 'foreign' | 'unreadable' | 'limited' | 'failed';
