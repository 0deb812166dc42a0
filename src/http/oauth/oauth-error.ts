import { ConnectError } from '@connectrpc/connect';
import { codeToHttpStatus } from '@connectrpc/connect/protocol-connect';
import { ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import type { Reason } from '../../errors.ts';
import { toConnectError, toRefusal } from '../../rpc/connect-error.ts';

/** The errors of RFC 6749, section 5.2, RFC 8628, section 3.5, and two that RFC 6749 has for redirects. */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'invalid_scope'
  | 'unsupported_grant_type'
  | 'authorization_pending'
  | 'slow_down'
  | 'access_denied'
  | 'expired_token'
  | 'temporarily_unavailable'
  | 'server_error';

/** A refusal as OAuth has it. */
export class OAuthError extends Error {
  override name = 'OAuthError';
  readonly code: OAuthErrorCode;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: OAuthErrorCode, description: string, { status = 400, headers = {} }: Partial<OAuthError> = {}) {
    super(description);
    this.code = code;
    this.status = status;
    this.headers = headers;
  }
}

const byReason: Partial<Record<Reason, readonly [OAuthErrorCode, status: number]>> = {
  AUTHORIZATION_PENDING: ['authorization_pending', 400],
  SLOW_DOWN: ['slow_down', 400],
  ACCESS_DENIED: ['access_denied', 400],
  EXPIRED_TOKEN: ['expired_token', 400],
  INVALID_ARGUMENT: ['invalid_request', 400],
  MALFORMED_REQUEST: ['invalid_request', 400],
  REQUEST_TOO_LARGE: ['invalid_request', 413],
  ENCODING_NOT_SUPPORTED: ['invalid_request', 400],
};

/** By the status that Connect gives the code of an error. */
const byStatus: Readonly<Record<number, readonly [OAuthErrorCode, status: number]>> = {
  409: ['temporarily_unavailable', 503],
  429: ['temporarily_unavailable', 429],
  499: ['temporarily_unavailable', 503],
  500: ['server_error', 500],
  501: ['server_error', 500],
  503: ['temporarily_unavailable', 503],
  504: ['temporarily_unavailable', 503],
};

/** Any error as OAuth has it. All other refusals of methods concern what the client presented. */
export function oauthErrorOf(thrown: unknown): OAuthError {
  if (thrown instanceof OAuthError) return thrown;
  const error = thrown instanceof ConnectError ? thrown : toConnectError(toRefusal(thrown));
  const { reason = '' } = error.findDetails(ErrorInfoSchema)[0] ?? {};
  const [code, status] = byReason[reason as Reason] ?? byStatus[codeToHttpStatus(error.code)] ?? ['invalid_grant', 400];
  const wait = error.metadata.get('retry-after');
  return new OAuthError(code, error.rawMessage, { status, headers: wait ? { 'retry-after': wait } : {} });
}

/** The reason of an error of a method. */
export function reasonOf(thrown: unknown): string | undefined {
  return thrown instanceof ConnectError ? thrown.findDetails(ErrorInfoSchema)[0]?.reason : undefined;
}
