import { isIP } from 'node:net';
import { z } from 'zod';
import { areUnique, listOf } from './parsers.ts';
import type { Complaint } from './rule.ts';
import type { Values } from './schema.ts';
import type { Settings } from './setting.ts';

const domainShape = /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

const rpId = z
  .string()
  .max(253, 'longer than 253 characters')
  .regex(domainShape, 'not a domain: without scheme, port and path, in lower case')
  .refine((text) => isIP(text) === 0, 'an IP address, for which no browser creates a passkey')
  .describe('a domain such as example.com, or localhost');

// What the Android app sends is the hash of the certificate that signed it. It is no URL, and it is compared exactly.
const androidShape = /^android:apk-key-hash:[\w-]{43}$/;
const webShape = /^https?:\/\/[^\s/?#\\@]+$/;

const origin = z
  .string()
  .refine(
    (text) => androidShape.test(text) || (webShape.test(text) && isCanonical(text)),
    'neither an exact https origin as browsers write it nor android:apk-key-hash: with 43 characters of base64url',
  )
  .refine(
    (text) => !text.startsWith('http:') || isLocalhost(new URL(text).hostname),
    'plain http, with which browsers have no passkeys except on localhost',
  );

export const webauthn = {
  WEBAUTHN_RP_ID: {
    sentence:
      'Domain that passkeys and security keys are registered for: that of the pages, or a parent of it. With another value they all stop working.',
    reads: rpId,
    otherwise: 'the host of FRONTEND_URL or else PUBLIC_URL',
    example: 'example.com',
  },
  WEBAUTHN_ORIGINS: {
    sentence:
      'Origins whose pages and apps may use passkeys. With several web origins, /.well-known/webauthn lists them for browsers.',
    reads: listOf(origin)
      .refine(areUnique, 'an origin stands there twice')
      .describe(
        'a comma-separated list of exact origins: https://host[:port], http://localhost[:port] or android:apk-key-hash:...',
      ),
    otherwise: 'those of FRONTEND_URL and PUBLIC_URL that are within WEBAUTHN_RP_ID',
    example: 'https://app.example.com,android:apk-key-hash:7d1043473d55bfa90e8530d35801d4e381bc69f0205',
  },
} as const satisfies Settings;

/** The identity of the service to authenticators. */
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

function isLocalhost(host: string): boolean {
  return isWithin(host, 'localhost');
}

function isCanonical(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}
