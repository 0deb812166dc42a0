import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Transport } from '@connectrpc/connect';
import { AuthService } from '../../../gen/gatehouse/v1/auth_pb.ts';
import { DeviceService } from '../../../gen/gatehouse/v1/device_pb.ts';
import { MfaService } from '../../../gen/gatehouse/v1/mfa_pb.ts';
import { SessionService } from '../../../gen/gatehouse/v1/session_pb.ts';
import type { LogBug } from '../../rpc/bug.ts';
import { reportBug } from '../../rpc/connect-error.ts';
import { kOrigin, kProjectName } from '../../rpc/context.ts';
import { beginRequest } from '../begun-request.ts';
import type { Gateway } from '../connect.ts';
import { type CallOnBehalf, unaryClient } from '../in-process.ts';
import { isRead } from '../probes.ts';
import { sendRefusal } from '../server.ts';
import { BrowserSession, type PageKeys } from './browser-session.ts';
import { ceremony, ceremonyPath } from './ceremony.ts';
import { confirmEmailChange, rejectRegistration, verifyEmail } from './confirmation.ts';
import { Cookies } from './cookies.ts';
import { devicesPage } from './devices.ts';
import { factorPrompt } from './factor-prompt.ts';
import { factorsPage } from './factors.ts';
import { readForm, requireOwnPage } from './form-post.ts';
import { layOut, paragraph } from './html.ts';
import { chooseLanguage, type Language, wordsOf } from './language.ts';
import { cliLogin, deviceLogin, fingerprintLogin } from './login-kinds.ts';
import { newPassword } from './new-password.ts';
import { type OwnSheet, sendSheet } from './own-sheet.ts';
import { passwordRequest } from './password-request.ts';
import { passwordReset } from './password-reset.ts';
import { providerReturn, providerStart } from './provider-sign-in.ts';
import { registration } from './registration.ts';
import { signIn, signOut } from './sign-in.ts';
import { type Look, openStyle, type PageStyle } from './style.ts';
import { failureOf } from './trouble.ts';
import { verification } from './verification.ts';
import { type Page, troubleView, type View, type Visit } from './visit.ts';
import type { Words } from './words.ts';

export interface LandingOptions {
  readonly keys: PageKeys;
  readonly now: () => Date;
  readonly callOnBehalf: CallOnBehalf;
  readonly claimAction: Visit['claimAction'];
  /** PUBLIC_URL. */
  readonly publicUrl: string;
  readonly projects: ShownProjects;
  /** The language for browsers that accept none of the available ones. */
  readonly language: Language;
  readonly requiresInviteCode: boolean;
  /** PAGES_STYLESHEET. */
  readonly ownSheet: OwnSheet | undefined;
  /** TRUSTED_DEVICE_DAYS. Undefined: no device is trusted. */
  readonly trustedDeviceDays: number | undefined;
  readonly proxyHops: number;
  readonly logBug: LogBug;
}

/** The projects, as far as the pages show them. */
interface ShownProjects {
  /** Undefined for an unknown name. */
  find(name: string): Promise<ShownProject | undefined>;
}

interface ShownProject {
  readonly settings: {
    readonly appName: string;
    readonly appUrl: string | undefined;
    readonly logoUrl: string | undefined;
    readonly accentColor: string;
    readonly passwordMinLength: number;
  };
}

/** The pages that serve all projects: links in mail name theirs. People sign in at the other pages in the default project. */
const pagesOfProjects = new Set(['/verify-email', '/reject-registration', '/confirm-email-change', '/reset-password']);

const pages: ReadonlyMap<string, Page> = new Map([
  ['/verify-email', verifyEmail],
  ['/reject-registration', rejectRegistration],
  ['/confirm-email-change', confirmEmailChange],
  ['/reset-password', passwordReset],
  ['/sign-in', signIn],
  ['/sign-out', signOut],
  ['/register', registration],
  ['/oauth/start', providerStart],
  ['/oauth/callback', providerReturn],
  ['/forgot-password', passwordRequest],
  ['/verification', verification],
  ['/device', deviceLogin],
  ['/cli', cliLogin],
  ['/login', fingerprintLogin],
  ['/devices', devicesPage],
  ['/factor', factorPrompt((path) => pages.get(path))],
  ['/factors', factorsPage],
  ['/new-password', newPassword],
  ['/magic-link', forTheApplication('magicLink')],
  ['/invite', forTheApplication('invite')],
]);

/** A page for links that only an application can use. It does not use the link, so that an application still can. */
function forTheApplication(link: keyof Words['forTheApplication']): Page {
  return {
    async show({ words }) {
      const { title, text } = words.forTheApplication[link];
      return { status: 200, title, body: paragraph(text) };
    },
  };
}

const referral = forTheApplication('referral');

/**
 * The pages for links in mail, for signing in and for logins of devices, if no application has its own. They hold no rule and
 * call the services.
 */
export function landingPages(options: LandingOptions): Gateway {
  return (req, res) => {
    const [path, query] = split(req.url ?? '');
    if (path === ceremonyPath && isRead(req)) {
      res.setHeader('content-type', 'text/javascript; charset=utf-8').end(ceremony);
      return true;
    }
    if (sendSheet(options.ownSheet, path, req, res)) return true;
    const values = new URLSearchParams(query);
    const page = path === '/' && values.has('referral_code') ? referral : pages.get(path);
    if (!page) return false;
    const link = { page, path, values };
    const methods = methodsOf(page);
    if (!methods.includes(req.method ?? '')) sendRefusal(res.setHeader('allow', methods.join(', ')), 405);
    else answer(link, req, res, options).catch((thrown) => giveUp(res, thrown, options));
    return true;
  };
}

/** Ends the response after a bug in what surrounds a page, or if the connection has failed. */
function giveUp(res: ServerResponse, thrown: unknown, { logBug }: LandingOptions): void {
  reportBug(logBug, thrown, String(res.getHeader('x-request-id') ?? ''));
  res.destroy();
}

function methodsOf(page: Page): readonly string[] {
  return page.act || page.return ? ['GET', 'HEAD', 'POST'] : ['GET', 'HEAD'];
}

interface Link {
  readonly page: Page;
  readonly path: string;
  readonly values: URLSearchParams;
}

function split(url: string): [path: string, query: string] {
  const at = url.indexOf('?');
  return at < 0 ? [url, ''] : [url.slice(0, at), url.slice(at + 1)];
}

async function answer(
  { page, ...link }: Link,
  req: IncomingMessage,
  res: ServerResponse,
  options: LandingOptions,
): Promise<void> {
  const { requiresInviteCode, publicUrl, trustedDeviceDays, claimAction } = options;
  const { origin } = new URL(publicUrl);
  const name = pagesOfProjects.has(link.path) ? link.values.get('project') : null;
  const { look, style, passwordMinLength } = await showProject(options, name);
  const site = look.name;
  const language = chooseLanguage(req.headers['accept-language'] ?? '', options.language);
  const words = wordsOf(language);
  const { context, gone } = beginRequest(req, res, options.proxyHops);
  if (name !== null) context.set(kProjectName, name);
  const cookies = new Cookies(req.headers.cookie, origin.startsWith('https:'));
  const clients = openClients(options.callOnBehalf(context, gone));
  const browser = new BrowserSession({ keys: options.keys, cookies, ...clients });
  const now = options.now();
  const { userAgent } = context.get(kOrigin);
  const path = name === null ? link.path : `${link.path}?${new URLSearchParams({ project: name })}`;
  const asked = { ...link, path, publicUrl, userAgent, now, site, words, language };
  const seen = { ...asked, passwordMinLength, requiresInviteCode, trustedDeviceDays, claimAction };
  const view = await see(page, { ...seen, browser, ...clients }, req, origin).catch((thrown) => {
    reportBug(options.logBug, thrown, context.get(kOrigin).requestId);
    return troubleView(words, failureOf(thrown));
  });
  res.appendHeader('set-cookie', cookies.changes());
  send(res, view, { look, style, words, language });
}

/** How the pages look in a project. That of an unknown name does not matter: the calls are refused. */
async function showProject({ projects, publicUrl, ownSheet }: LandingOptions, name: string | null) {
  // Without the database the page is shown all the same, and its calls report what is wrong.
  const named = name === null ? undefined : await projects.find(name).catch(() => undefined);
  const project = named ?? (await projects.find('default'))!;
  const { appName, appUrl, logoUrl, accentColor: accent, passwordMinLength } = project.settings;
  const look = { name: appName, appUrl, logoUrl, accent };
  const style = styles.get(project) ?? openStyle(look, new URL(publicUrl).origin, ownSheet?.path);
  styles.set(project, style);
  return { look, style, passwordMinLength };
}

const styles = new WeakMap<ShownProject, PageStyle>();

function openClients(transport: Transport) {
  return {
    auth: unaryClient(AuthService, transport),
    sessions: unaryClient(SessionService, transport),
    devices: unaryClient(DeviceService, transport),
    mfa: unaryClient(MfaService, transport),
  };
}

async function see(page: Page, visit: Visit, req: IncomingMessage, ownOrigin: string): Promise<View> {
  if (page.return && req.method === 'GET') return page.return(visit, 'GET');
  if (page.return && req.method === 'POST') return page.return({ ...visit, values: await readForm(req) }, 'POST');
  if (isRead(req) || !page.act) return page.show(visit);
  requireOwnPage(req, ownOrigin);
  return page.act({ ...visit, values: await readForm(req) });
}

function send(
  res: ServerResponse,
  { status, title, body, hasScript = false, hasCeremony = false, isError, retryAfter, location, goTo }: View,
  { look, style, words, language }: { look: Look; style: PageStyle; words: Words; language: Language },
): void {
  if (location !== undefined) return void res.writeHead(303, { location }).end();
  if (retryAfter !== undefined) res.setHeader('retry-after', retryAfter);
  res.setHeader('content-security-policy', style.policy({ hasScript, hasCeremony }));
  res.setHeader('content-language', language);
  res.appendHeader('vary', 'Accept-Language');
  const fullTitle = isError ? `${words.error}: ${title}` : title;
  const { name: site, appUrl } = look;
  const back = appUrl === undefined ? undefined : { url: appUrl, text: words.back };
  const page = { language, style, site, title: fullTitle, heading: title, body };
  const text = layOut({ ...page, hasScript, hasCeremony, back, goTo });
  res.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'content-length': Buffer.byteLength(text) });
  res.end(text);
}
