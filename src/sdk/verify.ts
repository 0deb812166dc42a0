import { createHash, timingSafeEqual } from 'node:crypto';
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';

/** The published keys of a Gatehouse: fetched when they are needed, and kept. `url` is its PUBLIC_URL. */
export function publishedKeys(url: string): JWTVerifyGetKey {
  return createRemoteJWKSet(new URL('/.well-known/jwks.json', url));
}

/**
 * Accepts each id once: returns false for an id that it was given before. It has to remember an id until `expiresAt`, in a
 * store that all processes of the backend share.
 */
export type AcceptOnce = (id: string, expiresAt: Date) => Promise<boolean> | boolean;

/** Remembers ids in this process. For a backend that has one process. */
export function onceInThisProcess(): AcceptOnce {
  const seen = new Map<string, number>();
  return (id, expiresAt) => {
    const now = Date.now();
    for (const [each, until] of seen) if (until <= now) seen.delete(each);
    if (seen.has(id)) return false;
    seen.set(id, expiresAt.getTime());
    return true;
  };
}

/** What a backend is about to do, and for whom. */
export interface ExpectedStepUp {
  readonly keys: JWTVerifyGetKey;
  /** The issuer of the Gatehouse: `<PUBLIC_URL>/auth/v1`. */
  readonly issuer: string;
  /** The name of this backend, as BeginStepUp was given it. */
  readonly audience: string;
  readonly action: string;
  /** The bytes of the request that the action was confirmed for. A text is taken as UTF-8. */
  readonly payload: Uint8Array | string;
  /** The user of the request: `sub` of their access token. */
  readonly userId: string;
  /** The session of the request. Given, a proof of another session of the user is refused. */
  readonly sessionId?: string;
  readonly acceptOnce: AcceptOnce;
  /** The time. Default: that of the process. */
  readonly now?: Date;
}

/** Why a proof is refused. */
export type StepUpFaultReason = 'INVALID' | 'EXPIRED' | 'OTHER_ACTION' | 'OTHER_PAYLOAD' | 'OTHER_USER' | 'USED';

/** A proof that must not be accepted. */
export class StepUpFault extends Error {
  override name = 'StepUpFault';
  readonly reason: StepUpFaultReason;

  constructor(reason: StepUpFaultReason, options?: ErrorOptions) {
    super(`the step-up proof is refused: ${reason}`, options);
    this.reason = reason;
  }
}

/** A proof that was accepted. */
export interface StepUpProof {
  readonly id: string;
  readonly userId: string;
  readonly sessionId: string;
  /** What the user read before they confirmed. */
  readonly description: string;
}

/**
 * Verifies a proof of FinishStepUp offline, and accepts it once. Call it with the payload that the action is about to use, and
 * not with a hash from the request. Throws StepUpFault. Clocks may differ by 30 seconds.
 */
export async function verifyStepUp(proof: string, expected: ExpectedStepUp): Promise<StepUpProof> {
  const claims = await readClaims(proof, expected);
  const { sub, jti, exp, session_id: sessionId, action, payload_hash: hash, description } = claims;
  if (sub !== expected.userId || (expected.sessionId !== undefined && sessionId !== expected.sessionId))
    throw new StepUpFault('OTHER_USER');
  if (action !== expected.action) throw new StepUpFault('OTHER_ACTION');
  if (!isHashOf(hash, expected.payload)) throw new StepUpFault('OTHER_PAYLOAD');
  // Last: a proof that is refused for another reason stays usable for what it was made for.
  if (!(await expected.acceptOnce(jti!, new Date((exp! + leewaySeconds) * 1000)))) throw new StepUpFault('USED');
  return { id: jti!, userId: sub, sessionId: String(sessionId), description: String(description) };
}

const leewaySeconds = 30;

async function readClaims(
  proof: string,
  { keys, issuer, audience, now = new Date() }: ExpectedStepUp,
): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(proof, keys, {
      issuer,
      audience,
      typ: 'step-up+jwt',
      algorithms: ['ES256', 'RS256'],
      requiredClaims: ['sub', 'jti', 'exp', 'iat', 'action', 'payload_hash'],
      clockTolerance: leewaySeconds,
      currentDate: now,
    });
    return payload;
  } catch (cause) {
    if (!(cause instanceof errors.JOSEError) || isUnreachable(cause)) throw cause;
    throw new StepUpFault(cause instanceof errors.JWTExpired ? 'EXPIRED' : 'INVALID', { cause });
  }
}

/** The keys could not be fetched: the proof may be good, and the caller may try again. */
function isUnreachable({ code }: errors.JOSEError): boolean {
  return ['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID'].includes(code);
}

function isHashOf(hash: unknown, payload: Uint8Array | string): boolean {
  const expected = createHash('sha256').update(payload).digest();
  const given = Buffer.from(typeof hash === 'string' ? hash : '', 'base64url');
  return given.length === expected.length && timingSafeEqual(given, expected);
}
