import { keyPrefix } from './key-text.ts';

/** The kinds of credentials that a call can carry as its bearer token. */
export type CredentialKind = 'access token' | 'api key' | 'service key';

// Three parts in base64url, the first of which begins with `{"`: a JSON Web Signature in its compact form. A dot alone is no
// sign of one, because operators choose service keys freely.
const jws = /^eyJ[\w-]*\.[\w-]*\.[\w-]*$/;

/**
 * The kind of a credential by its form. Whether the credential is valid is decided by the reader of its kind. A text of no
 * other kind can only be a service key.
 */
export function kindOfCredential(text: string): CredentialKind {
  if (isKeyText(text)) return 'api key';
  return jws.test(text) ? 'access token' : 'service key';
}

/** Whether a credential can only be an API key. */
export function isKeyText(text: string): boolean {
  return text.startsWith(keyPrefix);
}
