import { compileGlob, type Glob } from './glob.ts';

/** Where links in mail and sign-ins may lead back to. */
export interface RedirectRules {
  /** SITE_URL: where everything leads that names no other place. */
  readonly siteUrl: string;
  /** REDIRECT_URLS: patterns of further places. */
  readonly redirectUrls: readonly string[];
}

/** No URL that an application uses comes near it. */
const longest = 2000;
/** Their content would run, or be shown, with the rights of the page that the browser comes from. */
const dangerousSchemes = new Set(['javascript:', 'data:', 'vbscript:', 'blob:', 'file:', 'about:', 'view-source:']);
const loopback = /^(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/;
const loopbackName = /^([a-z0-9-]+\.)*localhost$/;
const anyIp = /^(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:.]+\])$/i;

/**
 * Decides where a link in mail or a sign-in may lead back to: the site of SITE_URL, this machine by a loopback address,
 * or a URL that a pattern of REDIRECT_URLS matches.
 *
 * Attack: tokens are sent to this place, so a place that somebody else chooses would receive them (open redirect). The
 * URL is compared as a browser reads it, and that form is returned. A URL that parsers read differently is refused.
 */
export class Redirects {
  readonly #site: URL;
  readonly #globs: readonly Glob[];

  constructor({ siteUrl, redirectUrls }: RedirectRules) {
    this.#site = new URL(siteUrl);
    this.#globs = redirectUrls.map(compileGlob).filter((each) => each !== undefined);
  }

  /** The first of these that is allowed, or SITE_URL. A place that is not allowed is no error. */
  choose(...wanted: readonly (string | null | undefined)[]): string {
    for (const each of wanted) {
      const allowed = each ? this.allow(each) : undefined;
      if (allowed) return allowed;
    }
    return this.#site.href;
  }

  /** The URL as browsers read it. Undefined if it is not allowed. */
  allow(text: string): string | undefined {
    const url = readUrl(text);
    return url && (this.#isOfSite(url) || isOfThisMachine(url) || this.#isListed(url)) ? url.href : undefined;
  }

  #isOfSite(url: URL): boolean {
    const site = this.#site;
    if (url.protocol !== site.protocol || url.hostname !== site.hostname) return false;
    // A development server listens on another port each time.
    return url.port === site.port || isLoopbackHost(url.hostname);
  }

  #isListed(url: URL): boolean {
    // Of addresses only those of this machine are allowed, so that `http://*.*.*.*` opens no network.
    if (anyIp.test(url.hostname)) return false;
    const { href } = Object.assign(new URL(url.href), { hash: '' });
    const spellings = url.pathname === '/' && !url.search ? [href, href.slice(0, -1)] : [href];
    return this.#globs.some((matches) => spellings.some(matches));
  }
}

/** Undefined for a text that is no absolute URL, or that programs read differently. */
function readUrl(text: string): URL | undefined {
  // Browsers drop tabs and line breaks, and take a backslash for a slash.
  if (text.length > longest || !/^[\x21-\x7e]+$/.test(text) || text.includes('\\') || !URL.canParse(text))
    return undefined;
  const url = new URL(text);
  return dangerousSchemes.has(url.protocol) || !hasPlainHost(text, url) ? undefined : url;
}

/**
 * Whether the host is written as browsers understand it, without a user before it. Attack: `https://example.com@evil.com`,
 * `http://2130706433` and `https:evil.com` are other hosts to a browser than to a person or a simpler parser.
 */
function hasPlainHost(text: string, { protocol, host, hostname, port }: URL): boolean {
  const isWeb = protocol === 'http:' || protocol === 'https:';
  const [, written] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(text) ?? [];
  if (written === undefined) return !isWeb;
  const withDefaultPort = isWeb && port === '' ? `${hostname}:${protocol === 'http:' ? 80 : 443}` : host;
  return [host, withDefaultPort].includes(written.toLowerCase()) && (!isWeb || /^[a-z0-9._[\]:-]+$/.test(host));
}

function isLoopbackHost(hostname: string): boolean {
  return loopback.test(hostname) || loopbackName.test(hostname);
}

function isOfThisMachine({ protocol, hostname }: URL): boolean {
  return (protocol === 'http:' || protocol === 'https:') && loopback.test(hostname);
}
