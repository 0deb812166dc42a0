import { readPageToken, writePageToken } from '../session/page-token.ts';

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
