import type { JsonObject } from '@bufbuild/protobuf';
import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import { Refusal } from '../../errors.ts';
import { type Html, html, joined } from './html.ts';
import type { Visit } from './visit.ts';

interface Ceremony {
  readonly path: string;
  readonly kind: 'get' | 'create';
  /** Absent until the user starts the ceremony. */
  readonly options?: JsonObject | undefined;
  readonly expires?: Timestamp | undefined;
  readonly hidden: Readonly<Record<string, string>>;
  readonly content: Html;
  /** The page that has new options. Default: the response to the form. */
  readonly renew?: string;
  /** Whether the browser offers passkeys in the autofill of a field. */
  readonly hasAutofill?: boolean;
  readonly isHidden?: boolean;
  /** The text for an authenticator that is registered already. Default: it has a passkey. */
  readonly known?: string;
}

/** A form that a browser completes with the response of an authenticator. */
export async function ceremonyForm(visit: Visit, ceremony: Ceremony): Promise<Html> {
  const { path, kind, options, expires, hidden, content, renew, hasAutofill, isHidden } = ceremony;
  const { failed, known } = { ...visit.words.passkeys, ...(ceremony.known !== undefined && { known: ceremony.known }) };
  const fields = { ...hidden, credential: '', form_token: await visit.browser.formToken(path) };
  const inputs = Object.entries(fields).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}">\n`,
  );
  const data: [string, string | undefined][] = [
    ['ceremony', kind],
    ['options', options && JSON.stringify(options)],
    ['expires', expires && `${timestampMs(expires)}`],
    ['renew', renew],
    ['autofill', hasAutofill ? '' : undefined],
    ['failed', failed],
    ['known', known],
  ];
  const attributes = data.map(([name, value]) => (value === undefined ? html`` : html` data-${name}="${value}"`));
  return html`<form method="post" action="${path}"${joined(attributes)}${isHidden ? html` hidden` : undefined}>
${joined(inputs)}${content}
</form>`;
}

/** The response of the authenticator. Undefined before there is one. Throws INVALID_ARGUMENT. */
export function credentialOf({ values }: Visit): JsonObject | undefined {
  const text = values.get('credential');
  if (!text) return undefined;
  try {
    const value = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {}
  throw new Refusal('INVALID_ARGUMENT');
}
