import { type Facts, invalidRequest, ofNoField, type Row, type Rows } from './error-row.ts';
import { nameTaken, rowsOfFactors, rowsOfPasskeys } from './factor-errors.ts';

/** What a route does, as far as errors depend on it. */
export type RouteName =
  | 'about'
  | 'sign up'
  | 'sign up as a guest'
  | 'sign in'
  | 'refresh'
  | 'exchange a code'
  | 'verify a code'
  | 'verify a link'
  | 'send mail'
  | 'user'
  | 'sign out'
  | 'sessions'
  | keyof typeof rowsOfFactors
  | keyof typeof rowsOfPasskeys
  | 'administer users'
  | 'start with a provider'
  | 'finish with a provider'
  | 'sign in by ID token'
  | 'identities';

const noToken = (why: string): Row => [403, 'bad_jwt', `invalid JWT: unable to parse or verify signature, ${why}`];
const tokenFaults: Readonly<Record<string, Row>> = {
  missing_sub: [403, 'bad_jwt', 'invalid claim: missing sub claim'],
  malformed_sub: [400, 'bad_jwt', 'invalid claim: sub claim must be a UUID'],
};
const noSession: Row = [403, 'session_not_found', 'Session from session_id claim in JWT does not exist'];
const outage: Row = [503, 'unexpected_failure', 'The service is not available at the moment, please retry'];
const timeout: Row = [504, 'request_timeout', 'Processing this request timed out, please retry after a moment.'];
const tooMany: Row = [429, 'over_request_rate_limit', 'Request rate limit reached'];
const mailLimit: Row = [
  429,
  'over_email_send_rate_limit',
  ({ wait }) => `For security purposes, you can only request this after ${wait} seconds.`,
];
const emailExists: Row = [422, 'email_exists', 'A user with this email address has already been registered'];
const lowLevel: Row = [
  401,
  'insufficient_aal',
  'AAL2 session is required to update email or password when MFA is enabled.',
];
const weakPassword: Row = [422, 'weak_password', describeWeakness];

/**
 * The errors that any route may have. No client fault is 5xx, and no outage 4xx: the published clients keep the session
 * and retry after 5xx.
 */
export const rowsOfEveryRoute: Rows = {
  AUTHENTICATION_REQUIRED: [401, 'no_authorization', 'This endpoint requires a valid Bearer token'],
  TOKEN_INVALID: ({ metadata: { fault = '' } }) => tokenFaults[fault] ?? noToken('the token is not valid'),
  API_KEY_INVALID: [401, 'no_authorization', 'The API key is not valid'],
  TOKEN_EXPIRED: noToken('token is expired'),
  // Not session_not_found: the session goes on with newer tokens.
  TOKEN_SUPERSEDED: noToken('the token was replaced by a newer one'),
  SESSION_REVOKED: noSession,
  SESSION_EXPIRED: noSession,
  USER_NOT_FOUND: [403, 'user_not_found', 'User from sub claim in JWT does not exist'],
  USER_BANNED: [403, 'user_banned', 'User is banned'],
  CALLER_NOT_ALLOWED: [403, 'not_admin', 'User not allowed'],
  IMPERSONATION_NOT_ALLOWED: [403, 'not_admin', 'User not allowed'],
  GUEST_NOT_ALLOWED: [403, 'no_authorization', 'Anonymous users may not do this'],
  PASSWORD_CHANGE_REQUIRED: [403, 'password_change_required'],
  INSUFFICIENT_AAL: [403, 'insufficient_aal', 'AAL2 session is required'],
  FACTOR_REQUIRED: [403, 'insufficient_aal', 'AAL2 session is required'],
  REAUTHENTICATION_REQUIRED: [400, 'reauthentication_needed', 'Authenticate again first'],
  PROJECT_MISMATCH: [403, 'bad_jwt'],
  PROJECT_NOT_FOUND: [404, 'project_not_found'],
  INVALID_ARGUMENT: invalidRequest,
  PAGE_TOKEN_INVALID: [400, 'validation_failed'],
  MALFORMED_REQUEST: [400, 'bad_json', 'Could not parse request body as JSON: it is not valid'],
  ENCODING_NOT_SUPPORTED: [400, 'bad_json', 'Could not parse request body as JSON: its encoding is not supported'],
  REQUEST_TOO_LARGE: [413, 'request_entity_too_large', 'The request is too large'],
  METHOD_NOT_FOUND: [404, 'feature_disabled'],
  WEAK_PASSWORD: weakPassword,
  OVER_REQUEST_RATE_LIMIT: tooMany,
  OVER_CAPACITY: tooMany,
  SERVER_BUSY: outage,
  SHUTTING_DOWN: outage,
  DATABASE_UNAVAILABLE: outage,
  TRY_AGAIN: [409, 'conflict', 'Too many concurrent requests on the same record'],
  DEADLINE_EXCEEDED: timeout,
  CANCELED: timeout,
  INTERNAL: [500, 'unexpected_failure', 'Unexpected failure, please check the server logs for more information'],
};

const rowsOfVerify: Rows = {
  TOKEN_REQUIRED: [400, 'validation_failed', 'Verify requires either a token or a token hash'],
  PASSWORD_REQUIRED: [422, 'validation_failed', 'Password is required'],
  EMAIL_ALREADY_REGISTERED: emailExists,
};

const signUpIsOff: Row = [422, 'signup_disabled', 'Signups not allowed for this instance'];
const unsupported: Row = [400, 'validation_failed', 'Unsupported provider: provider is not enabled'];

const rowsOfProviders: Rows = {
  OAUTH_PROVIDER_NOT_FOUND: unsupported,
  OAUTH_PROVIDER_UNAVAILABLE: outage,
  OAUTH_PROVIDER_ERROR: [400, 'bad_oauth_callback', 'The provider has refused the sign-in'],
  OAUTH_STATE_INVALID: [400, 'bad_oauth_state', 'OAuth state is invalid or has expired'],
  ID_TOKEN_INVALID: [400, 'bad_oauth_callback', 'Bad ID token'],
  ACCESS_DENIED: [403, 'access_denied', 'The user has denied the sign-in at the provider'],
  REDIRECT_NOT_ALLOWED: [400, 'validation_failed'],
};

const rowsOfLinking: Rows = {
  IDENTITY_CONFLICT: ({ metadata }) =>
    metadata.conflict === 'email'
      ? [422, 'provider_email_needs_verification', 'Another user has the email address of the identity']
      : [422, 'identity_already_exists', 'Identity is already linked to another user'],
  IDENTITY_NOT_FOUND: [422, 'identity_not_found', "Identity doesn't exist"],
  IDENTITY_LIMIT_REACHED: [422, 'validation_failed'],
  IDENTITY_LINKING_DISABLED: [404, 'manual_linking_disabled', 'Manual linking is disabled'],
  LAST_SIGN_IN_METHOD: [422, 'single_identity_not_deletable', 'User must have at least 1 identity after unlinking'],
  EMAIL_NOT_VERIFIED: [422, 'email_not_confirmed', 'Email not confirmed'],
  SIGN_UP_DISABLED: signUpIsOff,
  INVITE_CODE_REQUIRED: signUpIsOff,
  ...ofNoField('INVALID_INVITE_CODE', 'INVITE_CODE_USED', 'INVITE_CODE_EXPIRED', 'INVALID_ACCOUNT_INVITE_CODE'),
  ...ofNoField('ACCOUNT_INVITE_CODE_USED', 'ACCOUNT_INVITE_CODE_EXPIRED', 'INVITE_EMAIL_MISMATCH'),
};

/** The errors that mean something of their own on a route. */
export const rowsOfRoutes: Readonly<Partial<Record<RouteName, Rows>>> = {
  'sign up': {
    SIGN_UP_DISABLED: signUpIsOff,
    EMAIL_ALREADY_REGISTERED: [422, 'user_already_exists', 'User already registered'],
    INVITE_CODE_REQUIRED: signUpIsOff,
    EMAIL_VERIFICATION_DISABLED: [400, 'email_provider_disabled', 'Email signups are disabled'],
    ...ofNoField('EMAIL_ALREADY_VERIFIED', 'USER_WITHOUT_EMAIL', 'REQUEST_ID_REUSED', 'INVALID_INVITE_CODE'),
    ...ofNoField('INVITE_CODE_USED', 'INVITE_CODE_EXPIRED', 'INVALID_ACCOUNT_INVITE_CODE'),
    ...ofNoField('ACCOUNT_INVITE_CODE_USED', 'ACCOUNT_INVITE_CODE_EXPIRED', 'INVITE_EMAIL_MISMATCH'),
  },
  'sign up as a guest': {
    ANONYMOUS_SIGN_IN_DISABLED: [422, 'anonymous_provider_disabled', 'Anonymous sign-ins are disabled'],
  },
  'sign in': {
    INVALID_CREDENTIALS: [400, 'invalid_credentials', 'Invalid login credentials'],
    // The same as for a wrong password: the response does not reveal whether the user exists.
    USE_OAUTH_PROVIDER: [400, 'invalid_credentials', 'Invalid login credentials'],
    USER_BANNED: [400, 'user_banned', 'User is banned'],
    EMAIL_NOT_VERIFIED: [400, 'email_not_confirmed', 'Email not confirmed'],
  },
  refresh: {
    REFRESH_TOKEN_INVALID: refused('refresh_token_not_found', 'Refresh Token Not Found'),
    REFRESH_TOKEN_ALREADY_USED: refused('refresh_token_already_used', 'Already Used'),
    REFRESH_TOKEN_SUPERSEDED: refused('refresh_token_already_used', 'Already Used'),
    SESSION_EXPIRED: refused('session_expired', 'Session Expired'),
    SESSION_REVOKED: refused('session_not_found', 'No Valid Session Found'),
    // A conflict is no reason for the client to give the session up.
    TRY_AGAIN: outage,
  },
  'exchange a code': {
    EXCHANGE_CODE_INVALID: ({ metadata }) =>
      metadata.state === 'expired'
        ? [422, 'flow_state_expired', 'invalid flow state, flow state has expired']
        : [404, 'flow_state_not_found', 'invalid flow state, no valid flow state found'],
    ...rowsOfLinking,
    CODE_VERIFIER_MISMATCH: [400, 'bad_code_verifier', 'code challenge does not match previously saved code verifier'],
  },
  'verify a code': { ...rowsOfVerify, OTP_EXPIRED: [403, 'otp_expired', 'Token has expired or is invalid'] },
  'verify a link': { ...rowsOfVerify, OTP_EXPIRED: [403, 'otp_expired', 'Email link is invalid or has expired'] },
  'send mail': {
    EMAIL_VERIFICATION_DISABLED: [400, 'email_provider_disabled', 'Email signups are disabled'],
    REGISTRATION_REQUIRED: [
      400,
      'validation_failed',
      'Reauthentication requires the user to have an email or a phone number',
    ],
    EMAIL_NOT_VERIFIED: [422, 'email_not_confirmed', 'Please verify your email first.'],
    MAIL_LIMIT_REACHED: mailLimit,
    ...ofNoField('EMAIL_ALREADY_VERIFIED', 'USER_WITHOUT_EMAIL'),
  },
  user: {
    SIGN_UP_DISABLED: [422, 'signup_disabled', 'Signups not allowed for this instance'],
    INVITE_CODE_REQUIRED: [422, 'signup_disabled', 'Signups not allowed for this instance'],
    MAIL_LIMIT_REACHED: mailLimit,
    OTP_EXPIRED: [422, 'reauthentication_not_valid', 'Nonce has expired or is invalid'],
    SAME_PASSWORD: [422, 'same_password', 'New password should be different from the old password.'],
    REGISTRATION_REQUIRED: [
      422,
      'validation_failed',
      'Updating password of an anonymous user without an email or phone is not allowed',
    ],
    EMAIL_ALREADY_REGISTERED: emailExists,
    REAUTHENTICATION_REQUIRED: [400, 'reauthentication_needed', 'Password update requires reauthentication'],
    INSUFFICIENT_AAL: lowLevel,
    FACTOR_REQUIRED: lowLevel,
    CANNOT_DEMOTE_SELF: [422, 'unexpected_failure'],
  },
  'start with a provider': rowsOfProviders,
  'finish with a provider': {
    ...rowsOfProviders,
    ...rowsOfLinking,
    INVALID_ARGUMENT: [400, 'bad_oauth_callback', 'The parameters of the provider are not valid'],
  },
  'sign in by ID token': { ...rowsOfProviders, ...rowsOfLinking },
  identities: { ...rowsOfProviders, ...rowsOfLinking },
  'administer users': {
    USER_NOT_FOUND: [404, 'user_not_found', 'User not found'],
    EMAIL_ALREADY_REGISTERED: emailExists,
    MAIL_LIMIT_REACHED: mailLimit,
    MAIL_DISABLED: [400, 'email_provider_disabled', 'Email logins are disabled'],
    HASH_NOT_SUPPORTED: [400, 'validation_failed'],
    ...ofNoField('REQUEST_ID_REUSED'),
    CANNOT_REMOVE_SELF: [422, 'unexpected_failure'],
    FACTOR_NOT_FOUND: [404, 'mfa_factor_not_found', 'Factor not found'],
    FACTOR_NAME_CONFLICT: nameTaken,
    CANNOT_DEMOTE_SELF: [422, 'unexpected_failure'],
    REGISTRATION_REQUIRED: [422, 'validation_failed'],
  },
  ...rowsOfFactors,
  ...rowsOfPasskeys,
};

function refused(code: string, text: string): Row {
  return [400, code, `Invalid Refresh Token: ${text}`];
}

function describeWeakness({ metadata: { reasons = '', min_length } }: Facts): string {
  const texts = reasons
    .split(',')
    .map((each) =>
      each === 'too_short'
        ? `Password should be at least ${min_length} characters.`
        : 'Password is known to be weak and easy to guess, please choose a different one.',
    );
  return [...new Set(texts)].join(' ');
}
