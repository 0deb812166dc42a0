import { codeOf, useApp } from './authenticator.ts';
import { browserOf, type TestBrowser } from './page.ts';
import { ada } from './people.ts';
import { bearer, type StartOptions, start, type TestService } from './start.ts';

/** Ada, who has an authenticator app and recovery codes, and a browser that is not signed in. */
export async function withFactor(env: Record<string, string> = {}, options: StartOptions = {}) {
  const service = await start({ ...options, env });
  const { as } = await service.welcome({ ...ada, emailVerified: true });
  const clients = service.clients('grpc');
  const app = await useApp(clients, as, service.now());
  const raised = bearer(app.tokens!);
  const { codes } = await clients.mfa.generateRecoveryCodes({}, raised);
  return {
    service,
    clients,
    as: raised,
    secret: app.secret,
    factorId: app.factorId,
    codes,
    browser: browserOf(service),
  };
}

export async function enterPassword(browser: TestBrowser, next = '/devices') {
  const { text } = await browser.open(`/sign-in?next=${encodeURIComponent(next)}`);
  return submit(browser, text, ['password'], { email: ada.email, password: ada.password });
}

/** A code that was not used yet: the clock goes on by a step. */
export function nextCode(service: TestService, secret: string): string {
  service.pass(30);
  return codeOf(secret, service.now());
}

/** The form of a page that has this field. A page may have several forms. */
export function formOf(text: string, field: string, value?: string): { path: string; fields: Record<string, string> } {
  const forms = [...text.matchAll(/<form method="post" action="([^"]*)"[^>]*>(.*?)<\/form>/gs)].map(
    ([, path, inner]) => ({
      path: path!,
      fields: Object.fromEntries(
        [...inner!.matchAll(/<input\b(?![^>]*type="checkbox")[^>]*>/g)].map(([tag]) => [
          /\bname="([^"]*)"/.exec(tag)![1]!,
          (/\bvalue="([^"]*)"/.exec(tag)?.[1] ?? '').replaceAll('&amp;', '&'),
        ]),
      ),
    }),
  );
  const found = forms.find(({ fields }) => (value === undefined ? field in fields : fields[field] === value));
  if (!found) throw new Error(`no form with ${field} ${value ?? ''} in ${text}`);
  return found;
}

/** Sends the form of the page that has this field, with more fields. */
export function submit(browser: TestBrowser, text: string, [field, value]: [string, string?], more = {}) {
  const { path, fields } = formOf(text, field, value);
  return browser.post(path, { ...fields, ...more });
}

/** The address of a link by its text. */
export function hrefOf(text: string, label: string): string {
  const found = [...text.matchAll(/<a href="([^"]*)"[^>]*>([^<]*)</g)].find((each) => each[2]!.includes(label));
  if (!found) throw new Error(`no link ${label} in ${text}`);
  return found[1]!.replaceAll('&amp;', '&');
}

/** Signs in with the password and the app. */
export async function signInWithApp(
  { service, browser, secret }: { service: TestService; browser: TestBrowser; secret: string },
  next = '/devices',
) {
  const { text } = await enterPassword(browser, next);
  return submit(browser, text, ['code'], { code: nextCode(service, secret) });
}
