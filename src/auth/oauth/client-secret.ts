import { createPrivateKey } from 'node:crypto';
import { decodeJwt, SignJWT } from 'jose';
import type { ProviderSettings } from './provider.ts';
import type { Remote } from './remote.ts';

/** Seconds. Apple admits six months, and a secret that is made when it is needed never expires unnoticed. */
const lifetime = 300;

/**
 * The secret of the client. Apple's is a token that is signed with a key; one that an operator has made expires after six
 * months at most, and then every sign-in fails. Throws OAUTH_PROVIDER_UNAVAILABLE for an expired one, and names it in the log.
 */
export async function clientSecretOf(
  { clientId, clientSecret = '', signer }: ProviderSettings,
  { remote, audience, now }: { remote: Remote; audience: string; now: Date },
): Promise<string> {
  const seconds = Math.floor(now.getTime() / 1000);
  if (signer) {
    return new SignJWT()
      .setProtectedHeader({ alg: 'ES256', kid: signer.keyId })
      .setIssuer(signer.teamId)
      .setSubject(clientId)
      .setAudience(audience)
      .setIssuedAt(seconds)
      .setExpirationTime(seconds + lifetime)
      .sign(createPrivateKey(signer.privateKey));
  }
  const expiry = expiryOf(clientSecret);
  if (expiry !== undefined && expiry <= seconds) throw remote.unavailable('the client secret has expired');
  return clientSecret;
}

/** Undefined for a secret that is no token. */
function expiryOf(secret: string): number | undefined {
  if (!/^ey[\w-]+\.ey[\w-]+\.[\w-]+$/.test(secret)) return undefined;
  try {
    return decodeJwt(secret).exp;
  } catch {
    return undefined;
  }
}
