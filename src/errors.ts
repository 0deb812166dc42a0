import { Code } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { EventDraft } from './audit/draft.ts';

/**
 * Every way this service says no: the reason clients may branch on, the status code, and the sentence a person reads.
 * Sentences never say which half of a credential was wrong, or whether an account exists.
 */
const refusals = {
  // The call's own credential
  AUTHENTICATION_REQUIRED: [Code.Unauthenticated, 'sign in first'],
  TOKEN_INVALID: [Code.Unauthenticated, 'the bearer token is not valid'],
  TOKEN_EXPIRED: [Code.Unauthenticated, 'the access token has expired'],
  SESSION_EXPIRED: [Code.Unauthenticated, 'the session has expired'],
  SESSION_REVOKED: [Code.Unauthenticated, 'the session has ended'],
  INVALID_CREDENTIALS: [Code.Unauthenticated, 'Incorrect email or password'],
  REFRESH_TOKEN_INVALID: [Code.Unauthenticated, 'the refresh token is not valid'],
  REFRESH_TOKEN_ALREADY_USED: [Code.Unauthenticated, 'Refresh token has been revoked'],
  REFRESH_TOKEN_SUPERSEDED: [Code.Unauthenticated, 'the refresh token was replaced by a newer one'],

  // What the caller may not do
  CALLER_NOT_ALLOWED: [Code.PermissionDenied, 'this kind of caller may not call this method'],
  GUEST_NOT_ALLOWED: [Code.PermissionDenied, 'register first'],
  PASSWORD_CHANGE_REQUIRED: [Code.PermissionDenied, 'change the password first'],
  INSUFFICIENT_AAL: [Code.PermissionDenied, 'a higher assurance level is required'],
  REAUTHENTICATION_REQUIRED: [Code.PermissionDenied, 'authenticate again first'],
  USER_BANNED: [Code.PermissionDenied, 'the user is banned'],
  SIGN_UP_DISABLED: [Code.PermissionDenied, 'registration is switched off'],
  IMPERSONATION_NOT_ALLOWED: [Code.PermissionDenied, 'not while acting as another user'],
  PROJECT_MISMATCH: [Code.PermissionDenied, 'the token belongs to another project'],

  // What the call asks for
  INVALID_ARGUMENT: [Code.InvalidArgument, 'the request is not valid'],
  MALFORMED_REQUEST: [Code.InvalidArgument, 'the request could not be read'],
  PAGE_TOKEN_INVALID: [Code.InvalidArgument, 'the page token is not valid'],
  WEAK_PASSWORD: [Code.InvalidArgument, 'the password is too weak'],
  HASH_NOT_SUPPORTED: [Code.InvalidArgument, 'a password hash of this kind cannot be taken over'],
  EMAIL_ALREADY_REGISTERED: [Code.AlreadyExists, 'Email already registered'],
  PROJECT_NOT_FOUND: [Code.NotFound, 'no such project'],
  SESSION_NOT_FOUND: [Code.NotFound, 'no such session'],
  USER_NOT_FOUND: [Code.NotFound, 'no such user'],
  SIGNING_KEY_NOT_FOUND: [Code.NotFound, 'no such signing key'],
  SERVICE_NOT_FOUND: [Code.NotFound, 'no such service'],
  METHOD_NOT_FOUND: [Code.Unimplemented, 'no such method'],
  ENCODING_NOT_SUPPORTED: [Code.Unimplemented, 'the encoding is not supported'],
  CANNOT_DEMOTE_SELF: [Code.FailedPrecondition, 'another operator has to take this role from you'],
  CANNOT_IMPERSONATE_OPERATOR: [Code.FailedPrecondition, 'nobody acts as an operator'],
  KEY_TOO_YOUNG: [Code.FailedPrecondition, 'verifiers may not have seen the next key yet, try again later'],
  CANNOT_DELETE_CURRENT_SESSION: [Code.FailedPrecondition, 'sign out to end the current session'],

  // What the service can bear
  OVER_REQUEST_RATE_LIMIT: [Code.ResourceExhausted, 'too many attempts, try again later'],
  OVER_CAPACITY: [Code.ResourceExhausted, 'too many passwords are being checked, try again soon'],
  REQUEST_TOO_LARGE: [Code.ResourceExhausted, 'the request is too large'],
  SERVER_BUSY: [Code.Unavailable, 'the server is busy, try again soon'],
  SHUTTING_DOWN: [Code.Unavailable, 'the server is shutting down, try again'],
  // Also the answer when the connection broke during COMMIT: the outcome is unknown.
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

export interface RefusalOptions {
  readonly cause?: unknown;
  /** Facts a client may use, with values that are safe to show. */
  readonly metadata?: Record<string, string>;
  /** Seconds after which trying again makes sense. */
  readonly retryAfter?: number;
  /** Which fields are wrong, and why. Never their values. */
  readonly fields?: readonly FieldViolation[];
  /**
   * What must stay although the call fails. Runs after the rollback, in a short transaction of its own. Answers false
   * when another call has left the same already, event included.
   */
  readonly remember?: (em: EntityManager) => Promise<unknown>;
  /** The audit row of the failure. Written together with what `remember` leaves. */
  readonly event?: EventDraft;
}

/** A deliberate no. Anything else that is thrown is a bug and reaches the client as INTERNAL. */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly code: Code;
  readonly reason: Reason;
  readonly options: RefusalOptions;

  constructor(reason: Reason, options: RefusalOptions = {}) {
    const [code, sentence] = refusals[reason];
    super(sentence, { cause: options.cause });
    this.code = code;
    this.reason = reason;
    this.options = options;
  }
}
