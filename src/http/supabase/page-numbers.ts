import { invalid } from './auth-error.ts';

interface Page {
  /** From 1. */
  readonly page: number;
  readonly perPage: number;
}

const [largestPage, mostSkipped] = [1000, 100_000];

/** The page that `page` and `per_page` name. An empty value is the same as none. */
export function pageOf(query: URLSearchParams): Page {
  const [page, perPage] = [numberOf(query, 'page', 1), Math.min(numberOf(query, 'per_page', 50), largestPage)];
  if ((page - 1) * perPage > mostSkipped) throw invalid('Bad Pagination Parameters: page is too large');
  return { page, perPage };
}

function numberOf(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name) || String(otherwise);
  if (!/^\d{1,6}$/.test(text)) throw invalid(`Bad Pagination Parameters: ${name} is not a number`);
  return Number(text) || otherwise;
}

/**
 * `X-Total-Count` and `Link` (RFC 8288). The published client takes the page from the first character behind the first
 * equals sign, so `page` comes first.
 */
export function pagingHeaders(
  path: string,
  { page, perPage, total }: Page & { readonly total: number },
): Record<string, string> {
  const last = Math.max(1, Math.ceil(total / perPage));
  const linkTo = (to: number, rel: string) => `<${path}?page=${to}&per_page=${perPage}>; rel="${rel}"`;
  const links = [...(page < last ? [linkTo(page + 1, 'next')] : []), linkTo(last, 'last')];
  return { 'x-total-count': `${total}`, link: links.join(', ') };
}
