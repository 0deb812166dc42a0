import { Refusal } from '../errors.ts';

/** One page of a list sorted by the id under `key`: asks for one row more than the page has, to see whether it is the last. */
export async function pageOf<Key extends string, Row extends Readonly<Record<Key, string>>>(
  { pageSize, pageToken }: { readonly pageSize: number; readonly pageToken: string },
  key: Key,
  list: (page: { after: string | undefined; limit: number }) => Promise<Row[]>,
): Promise<{ rows: Row[]; nextPageToken: string }> {
  const limit = pageSize || 20;
  const found = await list({ after: pageToken ? readPageToken(pageToken) : undefined, limit: limit + 1 });
  const rows = found.slice(0, limit);
  return { rows, nextPageToken: found.length > limit ? writePageToken(rows.at(-1)![key]) : '' };
}

/** Where the next page of a list sorted by id begins: the last id of this one. Says nothing that the list did not. */
function writePageToken(lastId: string): string {
  return Buffer.from(lastId.replaceAll('-', ''), 'hex').toString('base64url');
}

/** Throws PAGE_TOKEN_INVALID for anything `writePageToken` does not write. */
function readPageToken(token: string): string {
  const hex = Buffer.from(token, 'base64url').toString('hex');
  if (hex.length !== 32 || writePageToken(hex) !== token) throw new Refusal('PAGE_TOKEN_INVALID');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
