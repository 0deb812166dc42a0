import { ConnectError } from '@connectrpc/connect';
import { codeToHttpStatus } from '@connectrpc/connect/protocol-connect';
import { BadRequestSchema, ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import type { Reason } from '../../errors.ts';
import { isBug, toConnectError, toRefusal } from '../../rpc/connect-error.ts';
import type { Trouble } from './words.ts';

const troubles: Partial<Record<Reason, readonly [status: number, trouble: Trouble]>> = {
  TOKEN_REQUIRED: [400, 'incomplete'],
  INVALID_ARGUMENT: [400, 'invalid'],
  VERIFICATION_TOKEN_INVALID: [400, 'invalid'],
  RESET_TOKEN_INVALID: [400, 'invalid'],
  VERIFICATION_TOKEN_USED_OR_EXPIRED: [410, 'dead'],
  RESET_TOKEN_USED_OR_EXPIRED: [410, 'dead'],
  EMAIL_ALREADY_REGISTERED: [409, 'taken'],
  EMAIL_ALREADY_VERIFIED: [409, 'verified'],
  CANNOT_DEMOTE_SELF: [409, 'verified'],
  OVER_REQUEST_RATE_LIMIT: [429, 'limited'],
  CALLER_NOT_ALLOWED: [403, 'foreign'],
  MALFORMED_REQUEST: [400, 'unreadable'],
  ENCODING_NOT_SUPPORTED: [415, 'unreadable'],
  REQUEST_TOO_LARGE: [413, 'unreadable'],
  // The faults of a password have texts of their own.
  WEAK_PASSWORD: [422, 'invalid'],
  PASSWORD_REQUIRED: [422, 'invalid'],
};

/** A failed call, as a page needs it. */
export interface Failure {
  readonly reason: string;
  readonly status: number;
  readonly trouble: Trouble;
  /** Seconds. */
  readonly retryAfter: number | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  /** The invalid fields of the request. */
  readonly fields: readonly string[];
}

/** Reads the error of a call, or a refusal of the page itself. Throws a bug again: it is logged where the page was requested. */
export function readFailure(thrown: unknown): Failure {
  if (isBug(thrown)) throw thrown;
  return failureOf(thrown);
}

/** What the user is shown for anything that was thrown. */
export function failureOf(thrown: unknown): Failure {
  const error = thrown instanceof ConnectError ? thrown : toConnectError(toRefusal(thrown));
  const { reason = '', metadata = {} } = error.findDetails(ErrorInfoSchema)[0] ?? {};
  const [status, general] = troubles[reason as Reason] ?? [codeToHttpStatus(error.code), 'failed'];
  const trouble = general === 'dead' && isEnd(metadata.state) ? metadata.state : general;
  return {
    reason,
    status,
    trouble,
    retryAfter: Number(error.metadata.get('retry-after')) || undefined,
    metadata,
    fields: error.findDetails(BadRequestSchema).flatMap((each) => each.fieldViolations.map(({ field }) => field)),
  };
}

function isEnd(state: string | undefined): state is 'used' | 'replaced' | 'expired' {
  return state === 'used' || state === 'replaced' || state === 'expired';
}
