import { Code } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { type Reason, Refusal } from '../../src/errors.ts';
import { reasons } from '../../src/sdk/reasons.ts';

/**
 * The classes of reasons. A client that knows no reason acts by the code: it signs in again, asks for rights, corrects the
 * request, lets something change first, or waits.
 */
const classes: Readonly<Record<string, readonly [code: Code, reasons: string]>> = {
  'the credential of the call fails': [
    Code.Unauthenticated,
    `AUTHENTICATION_REQUIRED TOKEN_INVALID API_KEY_INVALID TOKEN_EXPIRED SESSION_EXPIRED SESSION_REVOKED INVALID_CREDENTIALS
     REFRESH_TOKEN_INVALID REFRESH_TOKEN_ALREADY_USED REFRESH_TOKEN_SUPERSEDED TOKEN_SUPERSEDED
     CURRENT_PASSWORD_INCORRECT BILLING_SIGNATURE_INVALID`,
  ],
  'the caller lacks a right': [
    Code.PermissionDenied,
    `CALLER_NOT_ALLOWED GUEST_NOT_ALLOWED PASSWORD_CHANGE_REQUIRED INSUFFICIENT_AAL REAUTHENTICATION_REQUIRED USER_BANNED
     EMAIL_VERIFICATION_DISABLED SIGN_UP_DISABLED IMPERSONATION_NOT_ALLOWED PROJECT_MISMATCH ROLE_NOT_SUFFICIENT
     EMAIL_NOT_VERIFIED ACCESS_DENIED ANONYMOUS_SIGN_IN_DISABLED`,
  ],
  'the request is wrong whatever the state': [
    Code.InvalidArgument,
    `INVALID_ARGUMENT MALFORMED_REQUEST PAGE_TOKEN_INVALID WEAK_PASSWORD PASSWORD_REQUIRED CURRENT_PASSWORD_REQUIRED
     SAME_PASSWORD TOKEN_REQUIRED HASH_NOT_SUPPORTED BILLING_EVENT_INVALID`,
  ],
  'the state does not allow a valid request, or a one-time value is unknown, used or expired': [
    Code.FailedPrecondition,
    `CANNOT_DEMOTE_SELF CANNOT_REMOVE_SELF CANNOT_IMPERSONATE_OPERATOR KEY_TOO_YOUNG CANNOT_DELETE_CURRENT_SESSION
     USE_OAUTH_PROVIDER EMAIL_ALREADY_VERIFIED USER_WITHOUT_EMAIL MAIL_DISABLED RESET_TOKEN_INVALID
     RESET_TOKEN_USED_OR_EXPIRED VERIFICATION_TOKEN_INVALID VERIFICATION_TOKEN_USED_OR_EXPIRED OTP_EXPIRED
     EXCHANGE_CODE_INVALID CODE_VERIFIER_MISMATCH
     INVALID_ACCOUNT_INVITE_CODE ACCOUNT_INVITE_CODE_USED ACCOUNT_INVITE_CODE_EXPIRED INVITE_EMAIL_MISMATCH
     INVITE_CODE_REQUIRED INVALID_INVITE_CODE INVITE_CODE_USED INVITE_CODE_EXPIRED REGISTRATION_REQUIRED LAST_OWNER
     OWN_REFERRAL_CODE USAGE_DISABLED REQUEST_ID_REUSED AUTHORIZATION_PENDING EXPIRED_TOKEN CLI_CODE_USED
     INVALID_POLLING_CODE INVALID_LOGIN_CODE INVALID_ANON_REFRESH_TOKEN ANON_REFRESH_TOKEN_EXPIRED NOT_ANONYMOUS
     NO_ANONYMOUS_SESSION GUEST_NOT_MERGEABLE INVALID_AUTH_CODE AUTH_CODE_EXPIRED OWNERSHIP_CONFLICT`,
  ],
  'what the request names is not there': [
    Code.NotFound,
    `PROJECT_NOT_FOUND SESSION_NOT_FOUND USER_NOT_FOUND SIGNING_KEY_NOT_FOUND SERVICE_NOT_FOUND ACCOUNT_NOT_FOUND
     MEMBER_NOT_FOUND ACCOUNT_INVITE_NOT_FOUND REFERRAL_CODE_NOT_FOUND API_KEY_NOT_FOUND
     USER_CODE_NOT_FOUND INVALID_DEVICE_CODE CLI_CODE_INVALID DEVICE_NOT_FOUND`,
  ],
  'what the request creates is there already': [
    Code.AlreadyExists,
    `EMAIL_ALREADY_REGISTERED ALREADY_A_MEMBER ALREADY_INVITED INVITE_CODE_EXISTS REFERRAL_ALREADY_REDEEMED
     MUTUAL_REFERRAL ALREADY_CONNECTED`,
  ],
  'a limit is reached': [
    Code.ResourceExhausted,
    `ACCOUNT_INVITE_LIMIT_REACHED REFERRAL_LIMIT_REACHED QUOTA_EXCEEDED OVER_REQUEST_RATE_LIMIT MAIL_LIMIT_REACHED
     OVER_CAPACITY REQUEST_TOO_LARGE API_KEY_LIMIT_REACHED SLOW_DOWN`,
  ],
  'the service cannot serve now': [Code.Unavailable, 'SERVER_BUSY SHUTTING_DOWN DATABASE_UNAVAILABLE'],
  'a concurrent call was faster': [Code.Aborted, 'TRY_AGAIN'],
  'the service does not offer it': [Code.Unimplemented, 'METHOD_NOT_FOUND ENCODING_NOT_SUPPORTED'],
  'the deadline passed': [Code.DeadlineExceeded, 'DEADLINE_EXCEEDED'],
  'the caller canceled': [Code.Canceled, 'CANCELED'],
  'a bug in the service': [Code.Internal, 'INTERNAL'],
};

test('every reason has the code of its class', () => {
  const expected = Object.values(classes).flatMap(([code, names]) =>
    names.split(/\s+/).map((reason) => [reason, Code[code]] as const),
  );
  const actual = reasons.map((reason) => [reason, Code[new Refusal(reason as Reason).code]] as const);
  expect(new Set(expected.map(([reason]) => reason)).size, 'a reason is in one class').toBe(expected.length);
  expect(Object.fromEntries(actual)).toEqual(Object.fromEntries(expected));
});
