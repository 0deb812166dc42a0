/**
 * The cookies of these pages, and the two of /auth/v1 that bind a sign-in with a provider to its browser. Nothing else reads a
 * cookie: the methods take credentials from the Authorization header only.
 */
export type CookieName =
  | 'session'
  | 'access'
  | 'browser'
  | 'next'
  | 'enrolment'
  | 'offered'
  | 'provider'
  | 'trusted'
  | 'flow'
  | 'posted-flow';

/**
 * The cookies of one request, and those that its response sets. With the prefix `__Host-` a browser accepts them over TLS
 * and from this host only, so that no other host of the domain can set them (RFC 6265bis, section 4.1.3.2).
 */
export class Cookies {
  readonly #received: ReadonlyMap<string, string>;
  readonly #changed = new Map<CookieName, string | undefined>();
  readonly #isSecure: boolean;

  constructor(header: string | undefined, isSecure: boolean) {
    this.#received = parse(header ?? '');
    this.#isSecure = isSecure;
  }

  get(name: CookieName): string | undefined {
    return this.#changed.has(name) ? this.#changed.get(name) : this.#received.get(this.#fullName(name));
  }

  /** Undefined deletes the cookie. Any other lasts until the browser is closed, and the memory of an offer or of a trusted device for a year. */
  set(name: CookieName, value: string | undefined): void {
    this.#changed.set(name, value);
  }

  /** The values of the Set-Cookie headers. */
  changes(): string[] {
    return [...this.#changed].map(([name, value]) =>
      value === undefined
        ? `${this.#fullName(name)}=; Max-Age=0; ${this.#attributesOf(name)}`
        : `${this.#fullName(name)}=${value}; ${isLasting(name) ? 'Max-Age=31536000; ' : ''}${this.#attributesOf(name)}`,
    );
  }

  // A provider that returns by a POST does so from its own site, which sends no cookie that is Lax. A browser accepts None
  // over TLS only.
  #attributesOf(name: CookieName): string {
    const isForPosts = name === 'provider' || name === 'posted-flow';
    return `Path=/; HttpOnly; SameSite=${isForPosts ? 'None' : 'Lax'}${isForPosts || this.#isSecure ? '; Secure' : ''}`;
  }

  #fullName(name: CookieName): string {
    return `${this.#isSecure ? '__Host-' : ''}gatehouse-${name}`;
  }
}

/** The trust in a device may end earlier: the service decides that. */
function isLasting(name: CookieName): boolean {
  return name === 'offered' || name === 'trusted';
}

/** Of several cookies with one name the first counts. */
function parse(header: string): ReadonlyMap<string, string> {
  const cookies = new Map<string, string>();
  for (const pair of header.split(';')) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, at).trim();
    if (at > 0 && !cookies.has(name)) cookies.set(name, pair.slice(at + 1).trim());
  }
  return cookies;
}
