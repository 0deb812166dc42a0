import type { FactorType } from '../../../gen/gatehouse/v1/factor_pb.ts';
import type { Notice } from './notice.ts';

/** The texts of the pages on which a user proves, adds and removes second factors. */
export interface FactorWords {
  readonly factor: {
    readonly title: string;
    readonly signingIn: (email: string) => string;
    /** Precedes the action that the user confirms. */
    readonly confirming: string;
    /** What the user has to do, by the kind of the factor. */
    readonly ask: Readonly<Record<FactorType, (name: string) => string>>;
    readonly askPassword: string;
    readonly code: string;
    readonly recoveryCode: string;
    readonly password: string;
    readonly button: string;
    readonly otherWays: string;
    readonly choose: Readonly<Record<FactorType, (name: string) => string>>;
    readonly cancel: string;
    /** For an action that was performed, or was sealed for another session. */
    readonly outdated: Notice;
    readonly onward: string;
    readonly deeds: {
      readonly approve: (device: string) => string;
      readonly enroll: (name: string) => string;
      readonly remove: (name: string) => string;
      readonly codes: string;
    };
    /** For the response of a security key or passkey. */
    readonly deviceRefused: string;
    readonly refused: Readonly<
      Record<
        | 'MFA_VERIFICATION_FAILED'
        | 'MFA_CHALLENGE_EXPIRED'
        | 'FACTOR_NOT_FOUND'
        | 'INVALID_ARGUMENT'
        | 'INVALID_CREDENTIALS'
        | 'USE_OAUTH_PROVIDER',
        string
      >
    >;
  };
  readonly factors: {
    readonly title: string;
    readonly text: string;
    readonly empty: string;
    readonly kinds: Readonly<Record<FactorType, string>>;
    readonly lastUsed: string;
    readonly neverUsed: string;
    readonly remove: string;
    readonly add: string;
    readonly addText: string;
    readonly name: string;
    readonly usualName: string;
    readonly addButton: string;
    readonly codes: string;
    readonly codesText: string;
    readonly codesLeft: (count: number) => string;
    readonly codesCreate: string;
    readonly codesReplace: string;
    readonly codesWarning: string;
    /** For a form that was sent again. */
    readonly codesCreated: string;
    readonly devices: string;
    readonly enrolment: {
      readonly title: string;
      readonly scan: string;
      readonly qrCode: string;
      readonly manual: string;
      readonly code: string;
      readonly button: string;
      readonly cancel: string;
    };
    readonly newCodes: {
      readonly title: string;
      readonly text: string;
      readonly copy: string;
      readonly copied: string;
      readonly print: string;
      readonly save: string;
      readonly file: (site: string) => string;
      readonly onward: string;
    };
    readonly refused: Readonly<
      Record<
        | 'FACTOR_NAME_CONFLICT'
        | 'FACTOR_LIMIT_REACHED'
        | 'FACTOR_NOT_FOUND'
        | 'EMAIL_NOT_VERIFIED'
        | 'NO_FACTOR_ENROLLED',
        string
      >
    >;
  };
  readonly passkeys: {
    readonly title: string;
    readonly text: string;
    readonly add: string;
    readonly unnamed: string;
    readonly rename: string;
    readonly renameLabel: string;
    readonly name: string;
    readonly usualName: string;
    readonly create: string;
    readonly signIn: string;
    readonly offer: string;
    readonly needsScript: string;
    /** The user has cancelled, or the authenticator has failed. */
    readonly failed: string;
    /** The authenticator has a passkey of this account already. */
    readonly known: string;
    readonly remove: (name: string) => string;
    readonly renameTo: (name: string) => string;
    readonly addDeed: string;
    readonly refused: Readonly<
      Record<
        | 'MFA_CHALLENGE_EXPIRED'
        | 'PASSKEY_UNKNOWN'
        | 'PASSKEY_NEEDS_USER_VERIFICATION'
        | 'PASSKEY_VERIFICATION_FAILED'
        | 'PASSKEY_NOT_ACCEPTED'
        | 'PASSKEY_NOT_FOUND'
        | 'AUTHENTICATOR_ALREADY_REGISTERED'
        | 'FACTOR_NAME_CONFLICT'
        | 'FACTOR_LIMIT_REACHED'
        | 'LAST_FACTOR',
        string
      >
    >;
  };
  readonly securityKeys: {
    readonly add: string;
    readonly text: string;
    readonly name: string;
    readonly usualName: string;
    readonly button: string;
    readonly touch: string;
    readonly use: string;
    readonly known: string;
    readonly addDeed: (name: string) => string;
    readonly refused: Readonly<
      Record<
        'MFA_VERIFICATION_FAILED' | 'MFA_CHALLENGE_EXPIRED' | 'FACTOR_NOT_FOUND' | 'AUTHENTICATOR_ALREADY_REGISTERED',
        string
      >
    >;
  };
  readonly trustedDevices: {
    readonly title: string;
    readonly text: string;
    readonly revoke: string;
    readonly trust: (days: number) => string;
  };
  readonly resetWithFactor: { readonly text: string; readonly button: string };
  readonly newPassword: { readonly text: string; readonly done: string };
}
