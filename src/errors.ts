import { Code } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { FactorType } from '../gen/gatehouse/v1/factor_pb.ts';
import type { EventDraft } from './audit/draft.ts';

/**
 * Every refusal of this service: the reason that clients branch on, the status code, and a sentence for people. No
 * sentence reveals which part of a credential was wrong, or whether a user exists. The sentences that begin with a
 * capital letter are those of an earlier API, kept for clients that compare them.
 */
const refusals = {
  // The credential of the call
  AUTHENTICATION_REQUIRED: [Code.Unauthenticated, 'sign in first'],
  TOKEN_INVALID: [Code.Unauthenticated, 'the bearer token is not valid'],
  API_KEY_INVALID: [Code.Unauthenticated, 'the API key is not valid'],
  TOKEN_EXPIRED: [Code.Unauthenticated, 'the access token has expired'],
  TOKEN_SUPERSEDED: [Code.Unauthenticated, 'the access token was replaced by a newer one'],
  SESSION_EXPIRED: [Code.Unauthenticated, 'the session has expired'],
  SESSION_REVOKED: [Code.Unauthenticated, 'the session has ended'],
  INVALID_CREDENTIALS: [Code.Unauthenticated, 'Incorrect email or password'],
  REFRESH_TOKEN_INVALID: [Code.Unauthenticated, 'the refresh token is not valid'],
  REFRESH_TOKEN_ALREADY_USED: [Code.Unauthenticated, 'Refresh token has been revoked'],
  REFRESH_TOKEN_SUPERSEDED: [Code.Unauthenticated, 'the refresh token was replaced by a newer one'],
  CURRENT_PASSWORD_INCORRECT: [Code.Unauthenticated, 'Current password is incorrect'],

  // The rights of the caller
  CALLER_NOT_ALLOWED: [Code.PermissionDenied, 'this kind of caller may not call this method'],
  GUEST_NOT_ALLOWED: [Code.PermissionDenied, 'register first'],
  PASSWORD_CHANGE_REQUIRED: [Code.PermissionDenied, 'change the password first'],
  INSUFFICIENT_AAL: [Code.PermissionDenied, 'a higher assurance level is required'],
  REAUTHENTICATION_REQUIRED: [Code.PermissionDenied, 'authenticate again first'],
  FACTOR_REQUIRED: [Code.PermissionDenied, 'a second factor is required: enrol one, or verify it'],
  USER_BANNED: [Code.PermissionDenied, 'the user is banned'],
  EMAIL_VERIFICATION_DISABLED: [Code.PermissionDenied, 'Email verification is currently disabled'],
  ANONYMOUS_SIGN_IN_DISABLED: [Code.PermissionDenied, 'guests are not admitted'],
  SIGN_UP_DISABLED: [Code.PermissionDenied, 'registration is switched off'],
  IMPERSONATION_NOT_ALLOWED: [Code.PermissionDenied, 'not while acting as another user'],
  PROJECT_MISMATCH: [Code.PermissionDenied, 'the token belongs to another project'],

  // The request
  INVALID_ARGUMENT: [Code.InvalidArgument, 'the request is not valid'],
  MALFORMED_REQUEST: [Code.InvalidArgument, 'the request could not be read'],
  PAGE_TOKEN_INVALID: [Code.InvalidArgument, 'the page token is not valid'],
  WEAK_PASSWORD: [Code.InvalidArgument, 'the password is too weak'],
  PASSWORD_REQUIRED: [Code.InvalidArgument, 'Password is required'],
  CURRENT_PASSWORD_REQUIRED: [Code.InvalidArgument, 'Current password is required to change email'],
  SAME_PASSWORD: [Code.InvalidArgument, 'New password must be different from current password'],
  TOKEN_REQUIRED: [Code.InvalidArgument, 'Token is required'],
  REDIRECT_NOT_ALLOWED: [Code.InvalidArgument, 'nothing may lead to this URL'],
  HASH_NOT_SUPPORTED: [Code.InvalidArgument, 'a password hash of this kind cannot be taken over'],
  EMAIL_ALREADY_REGISTERED: [Code.AlreadyExists, 'Email already registered'],
  PROJECT_NOT_FOUND: [Code.NotFound, 'no such project'],
  SESSION_NOT_FOUND: [Code.NotFound, 'no such session'],
  USER_NOT_FOUND: [Code.NotFound, 'no such user'],
  API_KEY_NOT_FOUND: [Code.NotFound, 'no such API key'],
  SIGNING_KEY_NOT_FOUND: [Code.NotFound, 'no such signing key'],
  SERVICE_NOT_FOUND: [Code.NotFound, 'no such service'],
  METHOD_NOT_FOUND: [Code.Unimplemented, 'no such method'],
  ENCODING_NOT_SUPPORTED: [Code.Unimplemented, 'the encoding is not supported'],
  CANNOT_DEMOTE_SELF: [Code.FailedPrecondition, 'another operator has to take this role from you'],
  CANNOT_REMOVE_SELF: [Code.FailedPrecondition, 'another operator has to ban or delete you'],
  CANNOT_IMPERSONATE_OPERATOR: [Code.FailedPrecondition, 'nobody acts as an operator'],
  KEY_TOO_YOUNG: [Code.FailedPrecondition, 'verifiers may not have seen the next key yet, try again later'],
  CANNOT_DELETE_CURRENT_SESSION: [Code.FailedPrecondition, 'sign out to end the current session'],
  USE_OAUTH_PROVIDER: [Code.FailedPrecondition, 'sign in with the provider the account was made with'],
  PASSWORD_NOT_SET: [Code.FailedPrecondition, 'the user has no password: a reset link sets one'],
  EMAIL_ALREADY_VERIFIED: [Code.FailedPrecondition, 'Email is already verified'],
  USER_WITHOUT_EMAIL: [Code.FailedPrecondition, 'the user has no e-mail address'],
  MAIL_DISABLED: [Code.FailedPrecondition, 'no mail is sent from here'],
  REQUEST_ID_REUSED: [Code.FailedPrecondition, 'the request id was used for another request'],

  // Values that were sent by mail
  RESET_TOKEN_INVALID: [Code.FailedPrecondition, 'Invalid or expired reset token'],
  RESET_TOKEN_USED_OR_EXPIRED: [Code.FailedPrecondition, 'Reset token has already been used or has expired'],
  VERIFICATION_TOKEN_INVALID: [Code.FailedPrecondition, 'Invalid or expired verification token'],
  VERIFICATION_TOKEN_USED_OR_EXPIRED: [
    Code.FailedPrecondition,
    'Verification token has already been used or has expired',
  ],
  OTP_EXPIRED: [Code.FailedPrecondition, 'Token has expired or is invalid'],
  EXCHANGE_CODE_INVALID: [Code.FailedPrecondition, 'the code was used, has expired or was never issued'],
  CODE_VERIFIER_MISMATCH: [Code.FailedPrecondition, 'the code verifier is not that of the code challenge'],

  // Sign-in with a provider
  ID_TOKEN_INVALID: [Code.Unauthenticated, 'the ID token is not valid'],
  IDENTITY_LINKING_DISABLED: [Code.PermissionDenied, 'identities are not linked here'],
  OAUTH_PROVIDER_NOT_FOUND: [Code.NotFound, 'no such provider'],
  IDENTITY_NOT_FOUND: [Code.NotFound, 'no such identity'],
  OAUTH_STATE_INVALID: [Code.FailedPrecondition, 'the sign-in is unknown, used or expired'],
  OAUTH_PROVIDER_ERROR: [Code.FailedPrecondition, 'the provider has refused the sign-in'],
  LAST_SIGN_IN_METHOD: [Code.FailedPrecondition, 'set a password, register a passkey or link another identity first'],
  IDENTITY_CONFLICT: [Code.AlreadyExists, 'another user has this identity or its e-mail address'],
  IDENTITY_LIMIT_REACHED: [Code.ResourceExhausted, 'too many identities'],
  OAUTH_PROVIDER_UNAVAILABLE: [Code.Unavailable, 'the provider does not respond as it should, try again later'],

  // Accounts, invitations and usage
  ROLE_NOT_SUFFICIENT: [Code.PermissionDenied, 'the role in this account does not allow this'],
  EMAIL_NOT_VERIFIED: [Code.PermissionDenied, 'verify the e-mail address first'],
  INVITE_EMAIL_MISMATCH: [Code.FailedPrecondition, 'the invite is for another e-mail address'],
  ACCOUNT_NOT_FOUND: [Code.NotFound, 'no such account'],
  MEMBER_NOT_FOUND: [Code.NotFound, 'no such member'],
  ACCOUNT_INVITE_NOT_FOUND: [Code.NotFound, 'no such pending invitation'],
  REFERRAL_CODE_NOT_FOUND: [Code.NotFound, 'no such referral code'],
  ALREADY_A_MEMBER: [Code.AlreadyExists, 'already a member of this account'],
  ALREADY_INVITED: [Code.AlreadyExists, 'this address is invited already'],
  PROJECT_EXISTS: [Code.AlreadyExists, 'another project has this slug'],
  SERVICE_KEY_EXISTS: [Code.AlreadyExists, 'the service key or its name is in use already'],
  INVITE_CODE_EXISTS: [Code.AlreadyExists, 'there is such an invite code already'],
  REFERRAL_ALREADY_REDEEMED: [Code.AlreadyExists, 'a referral code was redeemed already'],
  MUTUAL_REFERRAL: [Code.AlreadyExists, 'the owner of the code was referred by you'],
  INVALID_ACCOUNT_INVITE_CODE: [Code.FailedPrecondition, 'Invalid account invite code'],
  ACCOUNT_INVITE_CODE_USED: [Code.FailedPrecondition, 'Account invite code has already been used'],
  ACCOUNT_INVITE_CODE_EXPIRED: [Code.FailedPrecondition, 'Account invite code has expired'],
  INVITE_CODE_REQUIRED: [Code.FailedPrecondition, 'Invite code is required'],
  INVALID_INVITE_CODE: [Code.FailedPrecondition, 'Invalid invite code'],
  INVITE_CODE_USED: [Code.FailedPrecondition, 'Invite code has already been used'],
  INVITE_CODE_EXPIRED: [Code.FailedPrecondition, 'Invite code has expired'],
  REGISTRATION_REQUIRED: [Code.FailedPrecondition, 'the user is a guest, and has to register first'],
  LAST_OWNER: [Code.FailedPrecondition, 'an account has one owner at least'],
  OWN_REFERRAL_CODE: [Code.FailedPrecondition, 'the referral code is your own'],
  USAGE_DISABLED: [Code.FailedPrecondition, 'usage is not counted here'],
  BILLING_EVENT_INVALID: [Code.InvalidArgument, 'the billing event could not be read'],
  BILLING_SIGNATURE_INVALID: [Code.Unauthenticated, 'the signature of the billing event is not valid'],
  ACCOUNT_INVITE_LIMIT_REACHED: [Code.ResourceExhausted, 'too many pending invitations'],
  REFERRAL_LIMIT_REACHED: [Code.ResourceExhausted, 'the referral code was redeemed as often as it may be'],
  QUOTA_EXCEEDED: [Code.ResourceExhausted, 'the quota of this month is used up'],

  // Logins of devices
  INVALID_POLLING_CODE: [Code.FailedPrecondition, 'Invalid polling code'],
  INVALID_LOGIN_CODE: [Code.FailedPrecondition, 'Invalid login code or the code has expired'],
  INVALID_ANON_REFRESH_TOKEN: [Code.FailedPrecondition, 'Invalid anon refresh token'],
  ANON_REFRESH_TOKEN_EXPIRED: [Code.FailedPrecondition, 'The provided anon refresh token has expired'],
  NOT_ANONYMOUS: [Code.FailedPrecondition, 'The provided refresh token does not belong to an anonymous user'],
  NO_ANONYMOUS_SESSION: [Code.FailedPrecondition, 'No anonymous session associated with this code'],
  GUEST_NOT_MERGEABLE: [Code.FailedPrecondition, 'the guest has a credential and cannot be merged'],
  USER_CODE_NOT_FOUND: [Code.NotFound, 'Invalid user code or authorization expired'],
  INVALID_DEVICE_CODE: [Code.NotFound, 'Invalid device code'],
  AUTHORIZATION_PENDING: [Code.FailedPrecondition, "User hasn't authorized yet. Keep polling."],
  ACCESS_DENIED: [Code.PermissionDenied, 'the login was denied'],
  EXPIRED_TOKEN: [Code.FailedPrecondition, 'Device code has expired. Please request a new one.'],
  CLI_CODE_INVALID: [Code.NotFound, 'Invalid or expired CLI code'],
  CLI_CODE_USED: [Code.FailedPrecondition, 'CLI code has already been used'],
  DEVICE_NOT_FOUND: [Code.NotFound, 'no such device'],
  INVALID_AUTH_CODE: [Code.FailedPrecondition, 'Invalid auth code.'],
  AUTH_CODE_EXPIRED: [Code.FailedPrecondition, 'Auth code expired.'],
  ALREADY_CONNECTED: [Code.AlreadyExists, 'Your account is already connected to your cli!'],
  OWNERSHIP_CONFLICT: [Code.FailedPrecondition, 'Unable to complete login'],
  SLOW_DOWN: [Code.ResourceExhausted, 'polled too early: wait for the longer interval'],

  // Second factors
  FACTOR_NOT_FOUND: [Code.PermissionDenied, 'no such factor'],
  FACTOR_NAME_CONFLICT: [Code.AlreadyExists, 'another factor has this name'],
  NO_FACTOR_ENROLLED: [Code.FailedPrecondition, 'enrol a second factor first'],
  RECOVERY_CODES_CHANGED: [Code.FailedPrecondition, 'other recovery codes were created meanwhile'],
  MFA_CHALLENGE_EXPIRED: [Code.FailedPrecondition, 'the challenge has expired or was used, begin a new one'],
  MFA_VERIFICATION_FAILED: [Code.FailedPrecondition, 'the factor could not be verified'],
  TRUSTED_DEVICE_NOT_FOUND: [Code.NotFound, 'no such trusted device'],
  FACTOR_LIMIT_REACHED: [Code.ResourceExhausted, 'too many factors'],
  AUTHENTICATOR_ALREADY_REGISTERED: [Code.AlreadyExists, 'this device already has a passkey'],

  // Passkeys
  PASSKEY_NOT_FOUND: [Code.NotFound, 'no such passkey'],
  PASSKEY_UNKNOWN: [Code.Unauthenticated, 'this passkey is not registered here'],
  PASSKEY_VERIFICATION_FAILED: [Code.Unauthenticated, 'the sign-in with the passkey failed'],
  PASSKEY_NOT_ACCEPTED: [Code.FailedPrecondition, 'the passkey could not be registered'],
  PASSKEY_NEEDS_USER_VERIFICATION: [
    Code.FailedPrecondition,
    'the authenticator did not verify you: set a PIN, a fingerprint or face recognition on it, and try again',
  ],
  LAST_FACTOR: [Code.FailedPrecondition, 'this is the only way in which the user can sign in'],

  // Limits and availability
  API_KEY_LIMIT_REACHED: [Code.ResourceExhausted, 'too many active API keys'],
  OVER_REQUEST_RATE_LIMIT: [Code.ResourceExhausted, 'too many attempts, try again later'],
  MAIL_LIMIT_REACHED: [Code.ResourceExhausted, 'enough mail was sent to this address, try again later'],
  OVER_CAPACITY: [Code.ResourceExhausted, 'too many passwords are being checked, try again soon'],
  REQUEST_TOO_LARGE: [Code.ResourceExhausted, 'the request is too large'],
  SERVER_BUSY: [Code.Unavailable, 'the server is busy, try again soon'],
  SHUTTING_DOWN: [Code.Unavailable, 'the server is shutting down, try again'],
  // Also when the connection broke during COMMIT: the outcome is unknown.
  DATABASE_UNAVAILABLE: [Code.Unavailable, 'the database cannot be reached, try again'],
  TRY_AGAIN: [Code.Aborted, 'the record changed meanwhile, try again'],
  DEADLINE_EXCEEDED: [Code.DeadlineExceeded, 'the deadline has passed'],
  CANCELED: [Code.Canceled, 'the caller has gone'],
  INTERNAL: [Code.Internal, 'internal error'],
} as const satisfies Record<string, readonly [Code, string]>;

export type Reason = keyof typeof refusals;

export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** A factor that the caller can verify, as the message UsableFactor has it. */
export interface UsableFactor {
  readonly id: string;
  readonly type: FactorType;
  readonly friendlyName: string;
}

/** What a caller's session lacks, as the message StepUpRequirement has it. */
export interface StepUp {
  /** Undefined when the level is sufficient. */
  readonly requiredAal?: number;
  readonly currentAal: number;
  /** Seconds. */
  readonly maxAge?: number | undefined;
  readonly factors?: readonly UsableFactor[];
}

export interface RefusalOptions {
  readonly cause?: unknown;
  /** Follows the reason's sentence: what is wrong with this call. Never a value that may be secret. */
  readonly detail?: string;
  /** Facts for the client, with values that are safe to show. */
  readonly metadata?: Record<string, string>;
  /** Seconds to wait before a retry. */
  readonly retryAfter?: number;
  /** The budget that was used up, for the metrics. Not part of the response. */
  readonly budget?: string;
  /** What the caller's session lacks. */
  readonly stepUp?: StepUp;
  /** The invalid fields and why they are invalid. Never their values. */
  readonly fields?: readonly FieldViolation[];
  /**
   * A change that is kept although the call fails. Runs after the rollback, in a short transaction of its own. Returns
   * false when another call has already made the change and written the event, and a Refusal to throw it instead of this
   * one.
   */
  readonly remember?: (em: EntityManager) => Promise<unknown>;
  /** The audit event of the failure. Written in the transaction of `remember`. */
  readonly event?: EventDraft;
}

/**
 * A deliberate refusal. An unexpected error reaches the client as INTERNAL. It has no stack: nobody logs that of a refusal, and
 * a device that polls would pay for one with each call.
 */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly code: Code;
  readonly reason: Reason;
  readonly options: RefusalOptions;

  constructor(reason: Reason, options: RefusalOptions = {}) {
    const [code, sentence] = refusals[reason];
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(options.detail ? `${sentence}: ${options.detail}` : sentence, { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.code = code;
    this.reason = reason;
    this.options = options;
  }
}
