import { Refusal } from '../errors.ts';

/** Where the next page of a list sorted by id begins: the last id of this one. Says nothing that the list did not. */
export function writePageToken(lastId: string): string {
  return Buffer.from(lastId.replaceAll('-', ''), 'hex').toString('base64url');
}

/** Throws PAGE_TOKEN_INVALID for anything `writePageToken` does not write. */
export function readPageToken(token: string): string {
  const hex = Buffer.from(token, 'base64url').toString('hex');
  if (hex.length !== 32 || writePageToken(hex) !== token) throw new Refusal('PAGE_TOKEN_INVALID');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
