/** The identity of the service to authenticators, from WEBAUTHN_RP_ID, APP_NAME and WEBAUTHN_ORIGINS. */
export interface RelyingParty {
  readonly id: string;
  readonly name: string;
  /** Compared exactly: an Android app's is no URL. */
  readonly origins: readonly string[];
}

/** COSE's numbers of the algorithms, in the order of preference: ECDSA with P-256, Ed25519, RSA with SHA-256. */
export const algorithms = { es256: -7, eddsa: -8, rs256: -257 } as const;

/** What a credential is used for. */
export type Use = 'webauthn' | 'passkey';

const bytesOf = (userId: string) => Buffer.from(userId.replaceAll('-', ''), 'hex');
const secondFactorMark = Buffer.of(2);

/**
 * The user handle of a user's credentials: the same for all of one use, without anything that names the user to people.
 *
 * An authenticator keeps one discoverable credential for each handle. That of second factors is another than that of
 * passkeys, so that neither replaces the other on a device that has both.
 */
export function userHandleOf(userId: string, use: Use): string {
  const id = bytesOf(userId);
  return (use === 'passkey' ? id : Buffer.concat([id, secondFactorMark])).toString('base64url');
}

/**
 * Whether a handle names the user. Credentials that were imported have the handle of the system that created them: the bytes
 * of the user's id, or its text.
 */
export function isHandleOf(handle: string, userId: string, use: Use): boolean {
  const imported = [bytesOf(userId), Buffer.from(userId)].map((bytes) => bytes.toString('base64url'));
  return handle === userHandleOf(userId, use) || imported.includes(handle);
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The user whom a handle names. Undefined for what is no handle of ours, nor of an imported credential. */
export function userOfHandle(handle: string | undefined): string | undefined {
  const bytes = Buffer.from(handle ?? '', 'base64url');
  if (uuid.test(bytes.toString('latin1')) && bytes.toString('base64url') === handle) return bytes.toString('latin1');
  if (bytes.toString('base64url') !== handle || (bytes.length !== 16 && bytes.length !== 17)) return undefined;
  return bytes.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
