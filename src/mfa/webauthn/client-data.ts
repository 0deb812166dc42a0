import { checking, ensure } from './ceremony-fault.ts';
import type { RelyingParty } from './relying-party.ts';

/** What the browser signed with the challenge, as far as it is checked. */
export interface ClientData {
  readonly type: unknown;
  readonly challenge: unknown;
  readonly origin: unknown;
  readonly crossOrigin?: unknown;
  readonly topOrigin?: unknown;
}

/** Parses `clientDataJSON`. */
export function readClientData(bytes: Buffer): ClientData {
  const parsed: unknown = checking('encoding', () =>
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)),
  );
  ensure(typeof parsed === 'object' && parsed !== null, 'encoding');
  return parsed as ClientData;
}

interface Expected {
  readonly type: 'webauthn.create' | 'webauthn.get';
  readonly challenge: Buffer;
  readonly origins: RelyingParty['origins'];
}

/**
 * Checks what the browser says of the ceremony. SimpleWebAuthn checks it too, but admits frames of other sites; its errors
 * do not say which check failed.
 */
export function checkClientData(data: ClientData, { type, challenge, origins }: Expected): void {
  ensure(data.type === type, 'type');
  ensure(data.challenge === challenge.toString('base64url'), 'challenge');
  ensure(typeof data.origin === 'string' && origins.includes(data.origin), 'origin');
  ensure((data.crossOrigin ?? false) === false && data.topOrigin === undefined, 'cross_origin');
}
