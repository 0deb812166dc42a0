import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt } from 'jose';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { rolldown } from 'rolldown';
import { expect, onTestFinished } from 'vitest';
import { installedBrowser } from '../pages/browser.ts';
import type { TestService } from './start.ts';
import { confirmed, publishableKey, startSupabase } from './supabase.ts';
import type { SiteOptions } from './supabase-visitor.ts';

let script: Promise<string> | undefined;

/** The published library for a page, as the global `authJs`. */
async function bundleOnce(): Promise<string> {
  script ??= bundle();
  return script;
}

async function bundle(): Promise<string> {
  const bundle = await rolldown({ input: '@supabase/auth-js', cwd: process.cwd(), platform: 'browser' });
  const { output } = await bundle.generate({ format: 'iife', name: 'authJs' });
  await bundle.close();
  return output[0].code;
}

/** Serves the pages of an application. Its client of the library is `auth`, and `events` has the names of its events. */
async function serveSite(setUp: () => string): Promise<string> {
  const script = await bundleOnce();
  const site = createServer((req, res) => {
    const isScript = req.url === '/auth.js';
    res.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    res.end(isScript ? script : `<!doctype html><title>app</title><script src="/auth.js"></script>${setUp()}`);
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  onTestFinished(() => void site.close());
  return `http://localhost:${(site.address() as AddressInfo).port}`;
}

export interface PageOptions extends SiteOptions {
  /** Default: false. */
  readonly autoRefreshToken?: boolean;
  readonly experimental?: { readonly appendPkceFlowIdToRedirects?: boolean };
}

/** A page of the application with a client of the library, in a browser of its own. */
export async function openSite({ flowType = 'implicit', env = {}, ...more }: PageOptions = {}) {
  // Those of supabase-js.
  const headers = {
    ...{ apikey: publishableKey, Authorization: `Bearer ${publishableKey}` },
    'X-Client-Info': 'supabase-js-web/2.119.0',
  };
  // The cookie that binds a sign-in with a provider belongs to the host of the callback.
  const options = { url: 'http://gatehouse.test/auth/v1', headers, autoRefreshToken: false, flowType, ...more };
  const client = `const auth = new authJs.GoTrueClient(${JSON.stringify(options)}), events = [];`;
  const origin = await serveSite(
    () => `<script>${client} auth.onAuthStateChange((event) => { events.push(event); });</script>`,
  );
  const webauthn = { WEBAUTHN_RP_ID: 'localhost', WEBAUTHN_ORIGINS: origin };
  const supabase = await startSupabase({
    env: { ...confirmed, ...webauthn, CORS_ORIGINS: origin, SITE_URL: origin, ...env },
  });
  const browser = await launch(supabase.service);
  const context = await browser.newContext();
  const another = (of = context) => openTab(of, origin);
  const anotherBrowser = () => browser.newContext();
  return { ...supabase, origin, context, tab: await another(), another, anotherBrowser };
}

async function launch({ replicas }: TestService): Promise<Browser> {
  const args = ['--no-sandbox', `--host-resolver-rules=MAP gatehouse.test:80 127.0.0.1:${replicas[0]!.httpPort}`];
  const browser = await chromium.launch({ executablePath: installedBrowser!, args });
  onTestFinished(() => browser.close());
  return browser;
}

async function openTab(context: BrowserContext, origin: string): Promise<Page> {
  const tab = await context.newPage();
  await tab.goto(origin);
  return tab;
}

/** What a call of the library returns in a page, without an error. */
export async function call(tab: Page, expression: string) {
  // biome-ignore lint/suspicious/noExplicitAny: the tests compare what is there
  const { data, error } = (await tab.evaluate(`(async () => ${plain(expression)})()`)) as { data: any; error: any };
  expect(error, expression).toBeNull();
  return data;
}

/** An error's properties are not enumerable, so a page cannot pass it on. */
export const plain = (expression: string) =>
  `{ const { data, error } = await ${expression}; return { data, error: error && ${shownError} }; }`;

const shownError =
  '{ name: error.name, status: error.status, code: error.code, message: error.message, reasons: error.reasons }';

export const aalOf = async (tab: Page) =>
  decodeJwt((await call(tab, 'auth.getSession()')).session.access_token) as { aal: string; session_id: string };
