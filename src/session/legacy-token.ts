import { createHmac, timingSafeEqual } from 'node:crypto';
import { Refusal } from '../errors.ts';
import { defaultProjectId } from '../project/project.ts';
import type { ServiceCaller } from '../rpc/context.ts';
import { type ParsedJwt, parseJwt } from './jwt.ts';

/** The roles whose tokens are the keys of backends. */
const backendRoles = new Set(['service_role', 'supabase_admin']);
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Reads the tokens that a Supabase project signed with its JWT secret (HS256), so that backends keep their key while a
 * project moves here. They are accepted on /auth/v1 only. A key has no expiry unless it names one.
 *
 * Returns undefined for a token of another algorithm. Throws TOKEN_INVALID (metadata `fault`) and TOKEN_EXPIRED, and
 * SESSION_REVOKED for the token of a user: the sessions of the other system do not exist here.
 */
export function legacyTokenReader(secrets: readonly string[]) {
  return (bearer: string, now: Date): ServiceCaller | undefined => {
    // Where nobody moves here, as on most installations, no token is parsed for this.
    const parsed = secrets.length > 0 ? parseJwt(bearer) : undefined;
    if (parsed?.header.alg !== 'HS256') return undefined;
    if (!secrets.some((secret) => isSignedWith(parsed, secret))) throw new Refusal('TOKEN_INVALID');
    const { role, sub, exp, nbf } = parsed.payload;
    const seconds = now.getTime() / 1000;
    if (exp !== undefined && !(typeof exp === 'number' && seconds < exp)) throw new Refusal('TOKEN_EXPIRED');
    if (nbf !== undefined && !(typeof nbf === 'number' && seconds >= nbf)) throw new Refusal('TOKEN_INVALID');
    if (typeof role === 'string' && backendRoles.has(role))
      return { kind: 'service', projectId: defaultProjectId, name: role };
    if (!sub) throw new Refusal('TOKEN_INVALID', { metadata: { fault: 'missing_sub' } });
    if (typeof sub !== 'string' || !uuid.test(sub))
      throw new Refusal('TOKEN_INVALID', { metadata: { fault: 'malformed_sub' } });
    throw new Refusal('SESSION_REVOKED');
  };
}

/** The algorithm is fixed: with another one in its header the token was not read (RFC 8725, section 3.1). */
function isSignedWith({ input, signature }: ParsedJwt, secret: string): boolean {
  const expected = createHmac('sha256', secret).update(input).digest();
  return signature.length === expected.length && timingSafeEqual(signature, expected);
}
