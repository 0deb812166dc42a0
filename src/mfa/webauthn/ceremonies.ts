type Ceremonies = typeof import('@simplewebauthn/server');

let opening: Promise<Ceremonies> | undefined;

/**
 * SimpleWebAuthn, which verifies the responses of authenticators. It consists of four hundred modules, which a service
 * without passkeys does not need, so the first challenge imports them: an authenticator responds seconds later.
 */
export function openCeremonies(): Promise<Ceremonies> {
  opening ??= import('@simplewebauthn/server');
  return opening;
}
