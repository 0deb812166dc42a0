import { faultOf } from '../database/sqlstate.ts';
import { Refusal } from '../errors.ts';

/**
 * The spelling of an address that is unique and looked up: trimmed, NFC, lower case, with the domain in ASCII.
 *
 * The local part is not changed further: what dots and plus tags mean is up to the mail server.
 */
export function emailKey(email: string): string {
  const trimmed = email.trim().normalize('NFC').toLowerCase();
  const at = trimmed.lastIndexOf('@');
  return trimmed.slice(0, at + 1) + asciiDomain(trimmed.slice(at + 1));
}

/**
 * Handles the error of a write that sets an address: throws EMAIL_ALREADY_REGISTERED when the unique index refused it, and
 * else the error. No read can decide this before the write, since another call may take the address in between.
 */
export function explainTakenAddress(error: unknown): never {
  throw faultOf(error) === 'unique' ? new Refusal('EMAIL_ALREADY_REGISTERED', { cause: error }) : error;
}

function asciiDomain(domain: string): string {
  if (/^[\x21-\x7e]*$/.test(domain)) return domain;
  try {
    return new URL(`http://${domain}`).hostname;
  } catch {
    return domain;
  }
}
