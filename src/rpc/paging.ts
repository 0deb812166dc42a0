import type { HandlerContext } from '@connectrpc/connect';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { isUuid } from '../text/uuid-text.ts';
import { type ListRequest, PageTokens, positionIn } from './page-token.ts';

/** How many items a page has when the request does not say, and at most. */
export interface PageSizes {
  readonly usual: number;
  readonly most: number;
}

/** What a statement that lists items needs to know. */
export interface Page {
  /** The position of the last item of the page before. Undefined for the first page. */
  readonly after: string | undefined;
  readonly limit: number;
}

interface OpenPage extends Page {
  /** The token of the page behind this position, in the same list. */
  readonly tokenFor: (position: string) => string;
}

/** What the items of a list are sorted by, and the sizes of its pages where they are not the usual ones. */
interface List<Key> {
  readonly key: Key;
  readonly sizes?: PageSizes;
}

const usualSizes: PageSizes = { usual: 20, most: 100 };

/**
 * The page that `pageOf` will ask for, before the token is checked: what is read at a position of an invented token belongs
 * to the caller as well, and is not returned.
 */
export function askedPage({ pageSize, pageToken }: ListRequest): Page {
  const position = pageToken ? positionIn(pageToken) : '';
  const limit = Math.min(Math.max(pageSize, 0) || usualSizes.usual, usualSizes.most) + 1;
  return { after: isUuid(position) ? position : undefined, limit };
}

/** Reads which page a request of a list asks for, and writes the token of the next one. For the lists of all services. */
export class Paging {
  readonly #tokens: PageTokens;

  constructor(keys: MasterKeys) {
    this.#tokens = new PageTokens(keys);
  }

  /** The page of a request. A size above the maximum is the maximum (AIP-158). Throws PAGE_TOKEN_INVALID. */
  open(context: HandlerContext, request: ListRequest, { usual, most }: PageSizes): OpenPage {
    return {
      after: request.pageToken ? this.#tokens.read(context, request) : undefined,
      limit: Math.min(request.pageSize || usual, most),
      tokenFor: (position) => this.#tokens.write(context, request, position),
    };
  }

  /**
   * One page of a list whose items are sorted by a unique `key`. Asks `list` for one more than the page has, to see
   * whether another page follows.
   */
  async pageOf<Key extends string, Row extends Readonly<Record<Key, string | null | undefined>>>(
    context: HandlerContext,
    request: ListRequest,
    { key, sizes = usualSizes }: List<Key>,
    list: (page: Page) => Promise<Row[]>,
  ): Promise<{ rows: Row[]; nextPageToken: string }> {
    const { after, limit, tokenFor } = this.open(context, request, sizes);
    const found = await list({ after, limit: limit + 1 });
    const rows = found.slice(0, limit);
    return { rows, nextPageToken: found.length > limit ? tokenFor(rows.at(-1)![key]!) : '' };
  }
}
