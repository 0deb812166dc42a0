import { createHash } from 'node:crypto';
import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { Refusal } from '../../errors.ts';
import type { Claims } from './provider.ts';

/** Seconds by which the clocks of a provider and the service may differ. */
const tolerance = 60;

// Never a symmetric one: the client secret would be the key, and programs of a user have it.
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

export interface Expected {
  /** Whether the issuer, and what else is said of it, is that of the provider. */
  readonly isIssuer: (claims: Claims) => boolean;
  readonly clientIds: readonly string[];
  /** Compares the nonce of the token, if it has one. */
  readonly isNonce: (nonce: string | undefined) => boolean;
  /** The access token that came with the ID token. Empty if none did. */
  readonly accessToken: string;
  readonly now: Date;
}

/** The claims of an ID token that is valid. */
export type IdClaims = Claims & { readonly sub: string; readonly iss: string };

/**
 * Verifies an ID token (OpenID Connect Core 1.0, section 3.1.3.7): signature, issuer, audience, times, nonce and access token.
 * Throws ID_TOKEN_INVALID, with the cause in the audit trail only.
 */
export async function verifyIdToken(token: string, key: JWTVerifyGetKey, expected: Expected): Promise<IdClaims> {
  const { payload, protectedHeader } = await jwtVerify(token, key, {
    algorithms,
    currentDate: expected.now,
    clockTolerance: tolerance,
    requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat'],
  }).catch((thrown) => {
    throw explain(thrown);
  });
  const { sub, iss } = payload;
  // An access token may have the same issuer and audience (RFC 9068).
  if (protectedHeader.typ !== undefined && protectedHeader.typ.toLowerCase() !== 'jwt') throw invalidIdToken('type');
  if (typeof iss !== 'string' || !expected.isIssuer(payload)) throw invalidIdToken('issuer');
  if (!isForUs(payload, expected.clientIds)) throw invalidIdToken('audience');
  if (payload.iat! > expected.now.getTime() / 1000 + tolerance) throw invalidIdToken('clock_skew');
  if (payload.nonce !== undefined && typeof payload.nonce !== 'string') throw invalidIdToken('nonce');
  if (!expected.isNonce(payload.nonce)) throw invalidIdToken('nonce');
  // Attack: the access token of another user in place of the one that belongs to this ID token.
  if (!isIssuedWith(expected.accessToken, payload.at_hash, protectedHeader.alg)) throw invalidIdToken('access_token');
  if (typeof sub !== 'string' || sub === '' || sub.length > 200) throw invalidIdToken('subject');
  return { ...payload, sub, iss };
}

/** Every audience has to be a client of ours, and so does the party that the token was issued to. */
function isForUs({ aud, azp }: JWTPayload, clientIds: readonly string[]): boolean {
  const audiences = [aud].flat();
  const isOurs = (each: unknown) => typeof each === 'string' && clientIds.includes(each);
  if (audiences.length === 0 || !audiences.every(isOurs)) return false;
  return azp === undefined ? audiences.length === 1 : isOurs(azp);
}

function explain(thrown: unknown): unknown {
  if (thrown instanceof Refusal) return thrown;
  if (thrown instanceof errors.JWTExpired) return invalidIdToken('clock_skew', thrown);
  if (thrown instanceof errors.JWTClaimValidationFailed)
    return invalidIdToken(thrown.claim === 'nbf' && thrown.reason === 'check_failed' ? 'clock_skew' : 'claims', thrown);
  if (thrown instanceof errors.JOSEError || thrown instanceof TypeError) return invalidIdToken('signature', thrown);
  return thrown;
}

type Cause =
  | 'access_token'
  | 'audience'
  | 'claims'
  | 'clock_skew'
  | 'issuer'
  | 'missing'
  | 'nonce'
  | 'response_issuer'
  | 'signature'
  | 'subject'
  | 'type';

export function invalidIdToken(cause: Cause, thrown?: unknown): Refusal {
  return new Refusal('ID_TOKEN_INVALID', {
    cause: thrown,
    event: { action: 'auth.login_failed', cause: `id_token_${cause}` },
  });
}

/** Of a sign-in that the service has started, the token has the nonce of that sign-in. */
export function exactNonce(sent: string): Expected['isNonce'] {
  return (nonce) => nonce === sent;
}

/**
 * For a token that the client brings. The nonce in the token must be the SHA-256 hash of what the client sends, and without one
 * in the token the client must send none. Attack: a thief of the token reads its nonce, and could send it as it is.
 */
export function nonceOfClient(known: string): Expected['isNonce'] {
  const hash = createHash('sha256').update(known).digest('hex');
  return (nonce) => (nonce === undefined ? known === '' : known !== '' && nonce === hash);
}

/**
 * Whether an access token is the one that the ID token was issued with (OpenID Connect Core 1.0, section 3.1.3.6). An ID token
 * without the hash says nothing, and neither is there anything to compare without an access token.
 */
function isIssuedWith(accessToken: string, atHash: unknown, alg: string): boolean {
  if (accessToken === '' || atHash === undefined) return true;
  // EdDSA with Ed25519 hashes with SHA-512.
  const size = alg.startsWith('Ed') ? '512' : alg.slice(-3);
  const digest = createHash(`sha${size}`).update(accessToken).digest();
  return atHash === digest.subarray(0, digest.length / 2).toString('base64url');
}
