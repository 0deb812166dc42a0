import { type AnyRow, invalidRequest, type Row, type Rows } from './error-row.ts';

/** A malformed id in the path of a route. Other fields are those of the body. */
const malformed =
  (idInPath: string): AnyRow =>
  (facts) =>
    facts.fields[0]?.field === idInPath ? [404, 'validation_failed', `${idInPath} must be an UUID`] : invalidRequest;

const unverifiedMailbox: Row = [422, 'email_not_confirmed', 'Please verify your email first.'];
export const nameTaken: Row = [
  422,
  'mfa_factor_name_conflict',
  'A factor with the same friendly name for this user already exists',
];

const named: Rows = {
  INVALID_ARGUMENT: malformed('factor_id'),
  // The same for the factor of another user.
  FACTOR_NOT_FOUND: [403, 'mfa_factor_not_found', 'Factor not found'],
};

const challenges: Readonly<Record<string, Row>> = {
  unknown: [422, 'mfa_factor_not_found', 'MFA factor with the provided challenge ID not found'],
  used: [422, 'mfa_ip_address_mismatch', 'The MFA challenge has been verified already, create a new challenge.'],
};
const challengeExpired: Row = [
  422,
  'mfa_challenge_expired',
  'MFA challenge has expired, verify against another challenge or create a new challenge.',
];
const invalidCode: Row = [422, 'mfa_verification_failed', 'Invalid TOTP code entered'];
const invalidResponse: Row = [422, 'mfa_verification_failed', 'Invalid WebAuthn response'];

/** The errors of the routes of second factors. */
export const rowsOfFactors = {
  'enrol a factor': {
    EMAIL_NOT_VERIFIED: unverifiedMailbox,
    FACTOR_NAME_CONFLICT: nameTaken,
    FACTOR_LIMIT_REACHED: [
      422,
      'too_many_enrolled_mfa_factors',
      'Maximum number of verified factors reached, unenroll to continue',
    ],
    INSUFFICIENT_AAL: [403, 'insufficient_aal', 'AAL2 required to enroll a new factor'],
  },
  'challenge a factor': named,
  'verify a factor': {
    ...named,
    MFA_CHALLENGE_EXPIRED: ({ metadata: { state = '' } }) => challenges[state] ?? challengeExpired,
    MFA_VERIFICATION_FAILED: ({ metadata }) => (metadata.check ? invalidResponse : invalidCode),
    PASSKEY_NEEDS_USER_VERIFICATION: invalidResponse,
    AUTHENTICATOR_ALREADY_REGISTERED: [
      422,
      'mfa_verified_factor_exists',
      'A verified factor with this authenticator already exists, unenroll the existing factor to continue',
    ],
  },
  'unenrol a factor': {
    ...named,
    INSUFFICIENT_AAL: [422, 'insufficient_aal', 'AAL2 required to unenroll verified factor'],
  },
} as const satisfies Record<string, Rows>;

const notVerified: Row = [400, 'webauthn_verification_failed', 'Webauthn verification failed'];
const unknownChallenge: AnyRow = ({ metadata: { state } }) =>
  state === 'expired'
    ? [400, 'webauthn_challenge_expired', 'Webauthn challenge has expired']
    : [400, 'webauthn_challenge_not_found', 'Webauthn challenge not found'];

/** The errors of the routes of passkeys. */
export const rowsOfPasskeys = {
  'register a passkey': {
    EMAIL_NOT_VERIFIED: unverifiedMailbox,
    FACTOR_LIMIT_REACHED: [422, 'too_many_passkeys', 'Maximum number of passkeys reached'],
    FACTOR_NAME_CONFLICT: nameTaken,
    MFA_CHALLENGE_EXPIRED: unknownChallenge,
    PASSKEY_NOT_ACCEPTED: notVerified,
    PASSKEY_NEEDS_USER_VERIFICATION: notVerified,
    AUTHENTICATOR_ALREADY_REGISTERED: [422, 'webauthn_credential_exists', 'This passkey is registered already'],
  },
  'sign in with a passkey': {
    MFA_CHALLENGE_EXPIRED: unknownChallenge,
    PASSKEY_UNKNOWN: notVerified,
    PASSKEY_VERIFICATION_FAILED: notVerified,
    PASSKEY_NEEDS_USER_VERIFICATION: notVerified,
    EMAIL_NOT_VERIFIED: [403, 'email_not_confirmed', 'Email not confirmed'],
  },
  'manage a passkey': {
    INVALID_ARGUMENT: malformed('passkey_id'),
    PASSKEY_NOT_FOUND: [404, 'webauthn_credential_not_found', 'Passkey not found'],
    FACTOR_NAME_CONFLICT: nameTaken,
    LAST_FACTOR: [422, 'single_identity_not_deletable'],
  },
} as const satisfies Record<string, Rows>;
