import { faultOf } from '../database/sqlstate.ts';
import { Refusal } from '../errors.ts';
import { lowerAscii, trimAddress } from '../text/email-address.ts';

/**
 * The spelling of an address that is unique and looked up: trimmed, A to Z in lower case. Addresses are ASCII, so any other
 * text has a key that no user has.
 *
 * The local part is not changed further: what dots and plus tags mean is up to the mail server.
 */
export function emailKey(email: string): string {
  return lowerAscii(trimAddress(email));
}

/**
 * Handles the error of a write that sets an address: throws EMAIL_ALREADY_REGISTERED when the unique index refused it, and
 * else the error. No read can decide this before the write, since another call may take the address in between.
 */
export function explainTakenAddress(error: unknown): never {
  throw faultOf(error) === 'unique' ? new Refusal('EMAIL_ALREADY_REGISTERED', { cause: error }) : error;
}
