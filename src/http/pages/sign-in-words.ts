import type { SessionKind } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { Notice } from './notice.ts';

/** The texts of the pages on which a user signs in, and decides which devices are signed in. */
export interface SignInWords {
  readonly showPassword: string;
  /** For a form that another user's session or another browser was shown. */
  readonly outdatedForm: string;
  readonly invalidForm: string;
  readonly signIn: {
    readonly title: string;
    readonly text: (site: string) => string;
    readonly email: string;
    readonly password: string;
    readonly button: string;
    readonly register: string;
    readonly forgot: string;
    readonly refused: Readonly<
      Record<
        'INVALID_CREDENTIALS' | 'INVALID_ARGUMENT' | 'USER_BANNED' | 'EMAIL_NOT_VERIFIED' | 'USE_OAUTH_PROVIDER',
        string
      >
    >;
  };
  /** Sign-ins with a provider such as Google. */
  readonly provider: {
    readonly button: (label: string) => string;
    readonly going: {
      readonly title: (label: string) => string;
      readonly text: (label: string) => string;
      readonly link: (label: string) => string;
    };
    /** For the browser inside of another program, in which providers refuse to work. */
    readonly embedded: { readonly text: string; readonly label: string };
    readonly checkMail: Notice;
    readonly failed: string;
    readonly again: string;
    readonly refused: Readonly<Record<ProviderReason, string>>;
  };
  readonly signOut: { readonly title: string; readonly text: (site: string) => string; readonly button: string };
  readonly register: {
    readonly title: string;
    readonly text: (site: string) => string;
    readonly name: string;
    readonly email: string;
    readonly password: string;
    readonly inviteCode: string;
    readonly button: string;
    readonly signIn: string;
    readonly checkMail: Notice;
    readonly refused: Readonly<
      Record<
        | 'INVALID_EMAIL'
        | 'EMAIL_ALREADY_REGISTERED'
        | 'SIGN_UP_DISABLED'
        | 'INVITE_CODE_REQUIRED'
        | 'INVALID_INVITE_CODE'
        | 'INVITE_CODE_USED'
        | 'INVITE_CODE_EXPIRED',
        string
      >
    >;
  };
  readonly forgotPassword: {
    readonly title: string;
    readonly text: string;
    /** For a user who must choose a new password before anything else. */
    readonly required: string;
    readonly email: string;
    readonly button: string;
    readonly doneTitle: string;
    readonly done: string;
    readonly signIn: string;
  };
  readonly verification: {
    readonly title: string;
    /** With the address of a signed-in user. */
    readonly text: (email: string | undefined) => string;
    readonly email: string;
    readonly button: string;
    readonly doneTitle: string;
    readonly done: string;
    readonly onward: string;
    readonly disabled: string;
  };
  readonly decision: {
    readonly title: string;
    readonly text: (site: string) => string;
    readonly warning: string;
    readonly approve: string;
    readonly deny: string;
    readonly signedInAs: (email: string) => string;
    readonly guest: string;
    readonly otherUser: string;
    readonly unnamed: string;
    readonly labels: Readonly<
      Record<'number' | 'code' | 'client' | 'device' | 'address' | 'grant' | 'started', string>
    >;
    readonly grants: Readonly<Record<'session' | 'apiKey', string>>;
    readonly approved: Notice;
    readonly denied: Notice;
    readonly unknown: { readonly title: string };
    readonly refused: Readonly<Record<DecisionReason, string>>;
  };
  readonly enterCode: {
    readonly title: string;
    readonly text: string;
    readonly label: string;
    readonly hint: string;
    readonly button: string;
  };
  readonly guest: {
    readonly question: string;
    readonly merge: string;
    readonly keep: string;
    readonly welcome: Notice & { readonly register: string; readonly signIn: string };
  };
  readonly devices: {
    readonly title: string;
    readonly signedInAs: (email: string) => string;
    readonly others: string;
    readonly signOut: string;
    readonly factors: string;
    readonly current: string;
    readonly revoke: string;
    readonly keys: string;
    readonly revokeKey: string;
    readonly lastUsed: string;
    readonly neverUsed: string;
    readonly lastActive: string;
    readonly unnamed: string;
    readonly kinds: Readonly<Record<SessionKind, string>>;
  };
}

/** The reasons of a refused sign-in with a provider that have a text of their own. */
type ProviderReason =
  | 'OAUTH_STATE_INVALID'
  | 'ACCESS_DENIED'
  | 'OAUTH_PROVIDER_UNAVAILABLE'
  | 'IDENTITY_CONFLICT'
  | 'USER_BANNED'
  | 'SIGN_UP_DISABLED'
  | 'INVITE_CODE_REQUIRED'
  | 'EMAIL_NOT_VERIFIED';

/** The reasons of a refused decision that have a text of their own. */
type DecisionReason =
  | 'USER_CODE_NOT_FOUND'
  | 'INVALID_LOGIN_CODE'
  | 'NO_ANONYMOUS_SESSION'
  | 'INVALID_AUTH_CODE'
  | 'AUTH_CODE_EXPIRED'
  | 'ALREADY_CONNECTED'
  | 'OWNERSHIP_CONFLICT'
  | 'EMAIL_NOT_VERIFIED'
  | 'INSUFFICIENT_AAL'
  | 'GUEST_NOT_ALLOWED'
  | 'REAUTHENTICATION_REQUIRED'
  | 'PASSWORD_CHANGE_REQUIRED'
  | 'CALLER_NOT_ALLOWED';
