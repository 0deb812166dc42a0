import type { Complaint } from './rule.ts';
import type { Values } from './schema.ts';
import { androidShape } from './webauthn.ts';

/** Who the service is to authenticators. */
export interface RelyingPartyConfig {
  readonly id: string;
  readonly name: string;
  readonly origins: readonly string[];
}

/** `pages` are the base URLs of the application's pages and of the service's own. */
export function arrangeWebauthn(
  { WEBAUTHN_RP_ID, WEBAUTHN_ORIGINS }: Pick<Values, 'WEBAUTHN_RP_ID' | 'WEBAUTHN_ORIGINS'>,
  name: string,
  pages: readonly [string, ...string[]],
): RelyingPartyConfig {
  const id = WEBAUTHN_RP_ID ?? hostOf(pages[0]);
  const within = pages.filter((each) => isWithin(hostOf(each), id)).map((each) => new URL(each).origin);
  return { id, name, origins: WEBAUTHN_ORIGINS ?? [...new Set(within)] };
}

type Given = Partial<Pick<Values, 'WEBAUTHN_RP_ID' | 'WEBAUTHN_ORIGINS' | 'FRONTEND_URL' | 'PUBLIC_URL'>>;

/** An RP id or origins with which no page could use a passkey. */
export function complainOfRpId(given: Given): Complaint | false {
  const { WEBAUTHN_RP_ID, WEBAUTHN_ORIGINS, FRONTEND_URL, PUBLIC_URL } = given;
  const pages = [FRONTEND_URL, PUBLIC_URL].filter((each) => each !== undefined);
  const id = WEBAUTHN_RP_ID ?? (pages[0] && hostOf(pages[0]));
  const web = (WEBAUTHN_ORIGINS ?? pages).filter((each) => !androidShape.test(each));
  if (!id || web.length === 0 || web.some((each) => isWithin(hostOf(each), id))) return false;
  const allowed = 'the host of a page that uses passkeys, or a parent domain of it';
  const example = `WEBAUTHN_RP_ID=${hostOf(web[0]!)}`;
  const source = WEBAUTHN_ORIGINS ? 'WEBAUTHN_ORIGINS' : 'FRONTEND_URL or PUBLIC_URL';
  if (WEBAUTHN_RP_ID) return { variable: 'WEBAUTHN_RP_ID', why: `no page of ${source} is on it`, allowed, example };
  const why = `none is on the domain ${id}, which passkeys are registered for without WEBAUTHN_RP_ID`;
  return { variable: 'WEBAUTHN_ORIGINS', why, allowed: `one on it, or WEBAUTHN_RP_ID: ${allowed}`, example };
}

function hostOf(page: string): string {
  return new URL(page).hostname;
}

function isWithin(host: string, id: string): boolean {
  return host === id || host.endsWith(`.${id}`);
}
