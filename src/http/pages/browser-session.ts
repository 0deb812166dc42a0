import { randomBytes } from 'node:crypto';
import type { CallOptions, Client } from '@connectrpc/connect';
import type { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import type { GetAssuranceResponse, MfaService } from '../../../gen/gatehouse/v1/mfa_pb.ts';
import type { SessionService, Tokens } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { User } from '../../../gen/gatehouse/v1/user_pb.ts';
import { Refusal } from '../../errors.ts';
import type { Cookies } from './cookies.ts';
import { readFailure } from './trouble.ts';

/** The user who is signed in to these pages. */
export interface SignedIn {
  readonly user: User;
  /** How the user is signed in, and the factors that they can verify. */
  readonly assurance: GetAssuranceResponse;
  /** For the calls that a page makes for the user. */
  readonly as: CallOptions;
}

/** MACs and encryption under the keys of the installation, by purpose. */
export interface PageKeys {
  mac(purpose: string, data: string): Buffer;
  isMac(purpose: string, data: string, mac: Buffer): boolean;
  seal(purpose: string, about: string, plain: Buffer): Buffer;
  open(purpose: string, about: string, sealed: Buffer): Buffer;
}

interface BrowserSessionDeps {
  readonly keys: PageKeys;
  readonly cookies: Cookies;
  readonly auth: Client<typeof AuthService>;
  readonly sessions: Client<typeof SessionService>;
  readonly mfa: Client<typeof MfaService>;
}

// A browser may refuse a larger cookie (RFC 6265, section 6.1). Without the cookie, every visit refreshes the session.
const largestAccessToken = 3500;
const postedPurpose = 'form of a provider';
/** Characters. All headers of a request have 16 KiB together. */
const mostInAddress = 6000;
/** The contract admits no longer token of a trusted device. */
const shapeOfTrust = /^[\w-]{1,128}$/;

/**
 * The session of a browser. Its tokens are in cookies that scripts cannot read. The access token is used as long as it is
 * valid; then the session is refreshed.
 */
export class BrowserSession {
  readonly #deps: BrowserSessionDeps;
  #reading: Promise<SignedIn | undefined> | undefined;

  constructor(deps: BrowserSessionDeps) {
    this.#deps = deps;
  }

  /** Undefined without a live session. */
  signedIn(): Promise<SignedIn | undefined> {
    this.#reading ??= this.#read();
    return this.#reading;
  }

  async #read(): Promise<SignedIn | undefined> {
    const { cookies } = this.#deps;
    const access = cookies.get('access');
    return (access && (await this.#userOf(access))) || this.#refresh(cookies.get('session'));
  }

  async #userOf(accessToken: string): Promise<SignedIn | undefined> {
    const as = { headers: { authorization: `Bearer ${accessToken}` } };
    const { auth, mfa } = this.#deps;
    try {
      // One after the other: calls at the same time share reads, and the end of one can cancel the other.
      const { user } = await auth.getMe({}, as);
      const assurance = await mfa.getAssurance({}, as);
      return { user: user!, assurance, as };
    } catch (thrown) {
      return ignoreDeadCredential(thrown);
    }
  }

  // The attempt id is derived, so that a browser that has not received a response gets the same tokens again.
  async #refresh(refreshToken: string | undefined): Promise<SignedIn | undefined> {
    if (refreshToken === undefined) return undefined;
    const attemptId = this.#deps.keys.mac('refresh of a page', refreshToken).toString('base64url');
    try {
      const { tokens } = await this.#deps.sessions.refresh({ refreshToken, attemptId });
      this.#store(tokens!);
      return await this.#userOf(tokens!.accessToken);
    } catch (thrown) {
      // Race: another tab may have signed in meanwhile, and this response would delete its cookies. Dead ones do no harm.
      return ignoreDeadCredential(thrown);
    }
  }

  /** The browser has these tokens from now on. The session that it had before is signed out. */
  async signIn(tokens: Tokens): Promise<void> {
    const { cookies, sessions } = this.#deps;
    const former = cookies.get('session');
    this.keep(tokens);
    // The user is signed in, also if this fails.
    if (former) await sessions.signOut({ refreshToken: former }).catch(() => {});
  }

  async signOut(): Promise<void> {
    const { cookies, sessions } = this.#deps;
    const refreshToken = cookies.get('session');
    if (refreshToken) await sessions.signOut({ refreshToken });
    this.#forget();
  }

  /** Replaces the tokens of the same session. */
  keep(tokens: Tokens): void {
    this.#store(tokens);
    this.#reading = undefined;
  }

  #store({ accessToken, refreshToken }: Tokens): void {
    const { cookies } = this.#deps;
    cookies.set('session', refreshToken);
    cookies.set('access', accessToken.length <= largestAccessToken ? accessToken : undefined);
  }

  #forget(): void {
    const { cookies } = this.#deps;
    cookies.set('session', undefined);
    cookies.set('access', undefined);
    this.#reading = Promise.resolve(undefined);
  }

  /** Keeps the page to show after a link in a mail was used. */
  keepNext(next: string): void {
    this.#deps.cookies.set('next', next);
  }

  takeNext(): string | undefined {
    const { cookies } = this.#deps;
    const next = cookies.get('next');
    if (next !== undefined) cookies.set('next', undefined);
    return next;
  }

  /**
   * What binds a sign-in with a provider to this browser. One value serves all of them, however many are started. It is
   * derived from a cookie: the one of the forms, or for a provider that returns by a POST one that its site sends too.
   */
  startWithProvider(postsCallback: boolean): string {
    const { cookies } = this.#deps;
    const name = postsCallback ? 'provider' : 'browser';
    if (!cookies.get(name)) cookies.set(name, randomBytes(16).toString('base64url'));
    return this.nonceForProvider(postsCallback);
  }

  /** The same when the provider returns. Empty for a browser that has started no sign-in. */
  nonceForProvider(postsCallback: boolean): string {
    const { cookies, keys } = this.#deps;
    const secret = cookies.get(postsCallback ? 'provider' : 'browser');
    return secret ? keys.mac('sign-in of a page', secret).toString('base64url') : '';
  }

  /**
   * Encrypts what a provider has posted, for a GET of the same browser. Undefined if this browser has started no sign-in with
   * such a provider, or if it is too long for an address.
   */
  sealPosted(posted: URLSearchParams): string | undefined {
    const { cookies, keys } = this.#deps;
    const secret = cookies.get('provider');
    const sealed = secret && keys.seal(postedPurpose, secret, Buffer.from(posted.toString())).toString('base64url');
    return sealed && sealed.length <= mostInAddress ? sealed : undefined;
  }

  /** Undefined for anything that was not sealed for this browser. */
  openPosted(sealed: string): URLSearchParams | undefined {
    const { cookies, keys } = this.#deps;
    try {
      const plain = keys.open(postedPurpose, cookies.get('provider') ?? '', Buffer.from(sealed, 'base64url'));
      return new URLSearchParams(plain.toString());
    } catch {
      return undefined;
    }
  }

  /**
   * The token of a form. It is valid for this browser, the user who is signed in when the form is shown, and the path that
   * the form posts to.
   */
  async formToken(path: string): Promise<string> {
    this.#recognize();
    return this.#deps.keys.mac('form of a page', await this.#boundTo(path)).toString('base64url');
  }

  #recognize(): void {
    const { cookies } = this.#deps;
    if (!cookies.get('browser')) cookies.set('browser', randomBytes(16).toString('base64url'));
  }

  /**
   * Throws CALLER_NOT_ALLOWED for a form that this browser was not shown, or was shown while another user was signed in.
   * Attack: another site has the browser sign in as the attacker, or approve what the attacker started.
   */
  async requireFormToken(path: string, token: string): Promise<void> {
    const { cookies, keys } = this.#deps;
    const mac = Buffer.from(token, 'base64url');
    const isOwn = cookies.get('browser') && mac.length === 32;
    if (!isOwn || !keys.isMac('form of a page', await this.#boundTo(path), mac))
      throw new Refusal('CALLER_NOT_ALLOWED');
  }

  /** Encrypts a value, which only this browser can bring back, while the same user is signed in and `state` is the same. */
  async seal(state: string, value: unknown): Promise<string> {
    this.#recognize();
    const plain = Buffer.from(JSON.stringify(value));
    return this.#deps.keys.seal('value of a page', await this.#boundTo(state), plain).toString('base64url');
  }

  /** The value, or undefined if it was sealed for another browser, user or state, or was altered. */
  async open(state: string, sealed: string): Promise<unknown> {
    const about = await this.#boundTo(state);
    try {
      const plain = this.#deps.keys.open('value of a page', about, Buffer.from(sealed, 'base64url'));
      return JSON.parse(plain.toString());
    } catch {
      return undefined;
    }
  }

  /** The factor that is being enrolled, encrypted. It stays out of addresses, and a reload shows it again. */
  get enrolment(): string | undefined {
    return this.#deps.cookies.get('enrolment');
  }

  set enrolment(sealed: string | undefined) {
    this.#deps.cookies.set('enrolment', sealed);
  }

  /** Whether this browser has shown its user the offer of a passkey. */
  get wasOffered(): boolean {
    return this.#deps.cookies.get('offered') !== undefined;
  }

  set wasOffered(was: boolean) {
    this.#deps.cookies.set('offered', was ? '1' : undefined);
  }

  /** The token of a device on which a user has verified a factor. Empty if this browser has none. */
  get trustedDeviceToken(): string {
    const token = this.#deps.cookies.get('trusted') ?? '';
    // A call with another one would be refused, and with it every sign-in of this browser.
    return shapeOfTrust.test(token) ? token : '';
  }

  set trustedDeviceToken(token: string) {
    this.#deps.cookies.set('trusted', token);
  }

  async #boundTo(path: string): Promise<string> {
    const signedIn = await this.signedIn();
    return JSON.stringify([this.#deps.cookies.get('browser'), signedIn?.user.id ?? null, path]);
  }
}

/** Undefined for a token that has expired or a session that was revoked. Throws everything else. */
function ignoreDeadCredential(thrown: unknown): undefined {
  if (readFailure(thrown).status !== 401) throw thrown;
}
