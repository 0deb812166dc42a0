/**
 * Every reason for which this version of the service refuses a call, in the order of its own table (src/errors.ts). A
 * list of its own, so that the SDK carries nothing of the service along; test/sdk.test.ts fails when the two differ.
 */
export const reasons = [
  'AUTHENTICATION_REQUIRED',
  'TOKEN_INVALID',
  'TOKEN_EXPIRED',
  'SESSION_EXPIRED',
  'SESSION_REVOKED',
  'INVALID_CREDENTIALS',
  'REFRESH_TOKEN_INVALID',
  'REFRESH_TOKEN_ALREADY_USED',
  'REFRESH_TOKEN_SUPERSEDED',
  'CALLER_NOT_ALLOWED',
  'GUEST_NOT_ALLOWED',
  'PASSWORD_CHANGE_REQUIRED',
  'INSUFFICIENT_AAL',
  'REAUTHENTICATION_REQUIRED',
  'USER_BANNED',
  'SIGN_UP_DISABLED',
  'PROJECT_MISMATCH',
  'INVALID_ARGUMENT',
  'MALFORMED_REQUEST',
  'PAGE_TOKEN_INVALID',
  'WEAK_PASSWORD',
  'EMAIL_ALREADY_REGISTERED',
  'PROJECT_NOT_FOUND',
  'SESSION_NOT_FOUND',
  'USER_NOT_FOUND',
  'SERVICE_NOT_FOUND',
  'METHOD_NOT_FOUND',
  'ENCODING_NOT_SUPPORTED',
  'CANNOT_DELETE_CURRENT_SESSION',
  'OVER_REQUEST_RATE_LIMIT',
  'OVER_CAPACITY',
  'REQUEST_TOO_LARGE',
  'SERVER_BUSY',
  'SHUTTING_DOWN',
  'DATABASE_UNAVAILABLE',
  'TRY_AGAIN',
  'DEADLINE_EXCEEDED',
  'CANCELED',
  'INTERNAL',
] as const;

/** Why the service refused a call. Stable: a reason is never given another meaning. */
export type Reason = (typeof reasons)[number];
