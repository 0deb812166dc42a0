import { createHash } from 'node:crypto';
import { type Cbor, readCbor } from './cbor.ts';
import { ensure } from './ceremony-fault.ts';

/** The data that an authenticator signs (WebAuthn Level 3, section 6.1). */
export interface AuthenticatorData {
  readonly userVerified: boolean;
  readonly backupEligible: boolean;
  readonly backedUp: boolean;
  readonly signCount: number;
  /** In the response to a registration. */
  readonly attested: { readonly credentialId: Buffer; readonly key: Cbor } | undefined;
}

const flag = {
  userPresent: 0x01,
  userVerified: 0x04,
  backupEligible: 0x08,
  backedUp: 0x10,
  attested: 0x40,
  extensions: 0x80,
};
const fixedLength = 37;
/** WebAuthn Level 3, section 7.1, step 26. */
const mostIdBytes = 1023;

/**
 * Reads authenticator data, and checks what does not depend on the ceremony: the RP id, that somebody was present, that the
 * flags agree with each other, and that every byte belongs to what the flags announce.
 */
export function readAuthenticatorData(bytes: Buffer, rpId: string): AuthenticatorData {
  ensure(bytes.length >= fixedLength, 'encoding');
  const flags = bytes[32]!;
  const has = (bit: number) => (flags & bit) !== 0;
  ensure(bytes.subarray(0, 32).equals(createHash('sha256').update(rpId).digest()), 'rp_id');
  ensure(has(flag.userPresent), 'user_presence');
  ensure(has(flag.backupEligible) || !has(flag.backedUp), 'backup_flags');
  const { attested, end } = has(flag.attested) ? readAttested(bytes) : { attested: undefined, end: fixedLength };
  ensure(end + (has(flag.extensions) ? lengthOfExtensions(bytes, end) : 0) === bytes.length, 'encoding');
  return {
    userVerified: has(flag.userVerified),
    backupEligible: has(flag.backupEligible),
    backedUp: has(flag.backedUp),
    signCount: bytes.readUInt32BE(33),
    attested,
  };
}

function readAttested(bytes: Buffer) {
  const idStart = fixedLength + 18;
  ensure(bytes.length >= idStart, 'encoding');
  const keyStart = idStart + bytes.readUInt16BE(idStart - 2);
  ensure(keyStart > idStart && keyStart - idStart <= mostIdBytes && keyStart < bytes.length, 'encoding');
  const [key, end] = readCbor(bytes, keyStart);
  return { attested: { credentialId: bytes.subarray(idStart, keyStart), key }, end };
}

function lengthOfExtensions(bytes: Buffer, start: number): number {
  const [extensions, end] = readCbor(bytes, start);
  ensure(extensions instanceof Map, 'encoding');
  return end - start;
}
