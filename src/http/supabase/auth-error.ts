/** An error as clients of Supabase Auth read it. */
export class AuthError extends Error {
  override name = 'AuthError';
  readonly status: number;
  readonly code: string;
  /** Further members of the body. */
  readonly more: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
  /** Set for an error that has the shape of OAuth (RFC 6749, section 5.2) in every version. */
  readonly oauthCode: string | undefined;

  constructor(
    status: number,
    code: string,
    message: string,
    { more = {}, headers = {}, oauthCode }: Partial<Pick<AuthError, 'more' | 'headers' | 'oauthCode'>> = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.more = more;
    this.headers = headers;
    this.oauthCode = oauthCode;
  }
}

/** A request that breaks a rule of the surface itself. */
export function invalid(message: string, code = 'validation_failed'): AuthError {
  return new AuthError(400, code, message);
}

/** A fault of a request that clients read as OAuth names it. */
export function invalidGrant(message: string): AuthError {
  return new AuthError(400, 'validation_failed', message, { oauthCode: 'invalid request' });
}

/** The version of the error shape with a textual `code`. It is also the newest version. */
export const codedVersion = '2024-01-01';

/**
 * Whether a client reads the newer of the two error shapes. Later versions mean the newest known one; a missing or
 * malformed version means the first one.
 */
export function readsCodes(version: string | undefined): boolean {
  return version !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(version) && version >= codedVersion;
}

/** The body of an error in the shape that the client reads. */
export function bodyOf(error: AuthError, isCoded: boolean, requestId: string): object {
  const { status, code, message, more, oauthCode } = error;
  if (oauthCode) return { error: oauthCode, error_description: message };
  if (isCoded) return { code, message, ...more };
  return { code: status, error_code: code, msg: message, ...(status >= 500 && { error_id: requestId }), ...more };
}
