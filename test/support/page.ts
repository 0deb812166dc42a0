import type http from 'node:http';
import { lastMail } from './inbox.ts';
import { ada } from './people.ts';
import { type RawAnswer, send } from './raw-http.ts';
import { type StartOptions, start, type TestService } from './start.ts';

/** A landing page as a browser without scripts reads it. */
export interface SeenPage extends RawAnswer {
  readonly heading: string;
  readonly alert: string | undefined;
  /** The fields of the form. Undefined without a form. */
  readonly form: Record<string, string> | undefined;
}

export interface Visitor {
  open(path: string, headers?: http.OutgoingHttpHeaders, method?: string): Promise<SeenPage>;
  post(path: string, fields: Record<string, string>, headers?: http.OutgoingHttpHeaders): Promise<SeenPage>;
}

/** Opens pages and sends their forms as a browser does. */
export function visitor({ replicas }: TestService, replica = 0): Visitor {
  const port = replicas[replica % replicas.length]!.httpPort;
  return {
    open: async (path, headers = {}, method = 'GET') => see(await send(port, { method, path, headers })),
    post: async (path, fields, headers = {}) =>
      see(
        await send(port, {
          path,
          body: new URLSearchParams(fields).toString(),
          headers: {
            'content-type': 'application/x-www-form-urlencoded',
            ...(!('origin' in headers) && { 'sec-fetch-site': 'same-origin' }),
            ...headers,
          },
        }),
      ),
  };
}

/** A browser with cookies, which follows redirects. `cookies` is what it has, by name. */
export interface TestBrowser extends Visitor {
  readonly cookies: Map<string, string>;
  /** The path of the page that is shown. */
  readonly at: string;
}

/** A browser without cookies, or a tab with those of another one. */
export function browserOf(
  service: TestService,
  { replica = 0, cookies: given = new Map() }: { replica?: number; cookies?: ReadonlyMap<string, string> } = {},
): TestBrowser {
  const cookies = new Map(given);
  const visit = visitor(service, replica);
  let at = '';
  const follow = async (
    path: string,
    ask: (headers: http.OutgoingHttpHeaders) => Promise<SeenPage>,
  ): Promise<SeenPage> => {
    const header = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const page = await ask(header === '' ? {} : { cookie: header });
    for (const each of page.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(each)!;
      if (value === '') cookies.delete(name!);
      else cookies.set(name!, value!);
    }
    at = path;
    const { location } = page.headers;
    return page.status === 303 ? follow(location!, (more) => visit.open(location!, more)) : page;
  };
  return {
    cookies,
    get at() {
      return at;
    },
    open: (path, headers = {}, method = 'GET') =>
      follow(path, (own) => visit.open(path, { ...own, ...headers }, method)),
    post: (path, fields, headers = {}) => follow(path, (own) => visit.post(path, fields, { ...own, ...headers })),
  };
}

/** The path and the query of a link. */
export function pathOfLink(link: string): string {
  const { pathname, search } = new URL(link);
  return pathname + search;
}

/** The path and the token of the last link that was sent to an address. */
export async function linkTo(service: TestService, address: string = ada.email) {
  const { link, token } = await lastMail(service, address);
  return { path: pathOfLink(link), page: new URL(link).pathname, token };
}

function see(answer: RawAnswer): SeenPage {
  const { text } = answer;
  // A box is sent when it is checked, and none is at first.
  const inputs = [...text.matchAll(/<input\b(?![^>]*type="checkbox")[^>]*>/g)].map(([tag]) => [
    /\bname="([^"]*)"/.exec(tag)![1]!,
    readEntities(/\bvalue="([^"]*)"/.exec(tag)?.[1] ?? ''),
  ]);
  return {
    ...answer,
    heading: readEntities(/<h1>(.*)<\/h1>/.exec(text)?.[1] ?? ''),
    alert: /role="alert"[^>]*><p>(.*?)<\/p>/.exec(text)?.slice(1).map(readEntities)[0],
    form: text.includes('<form') ? Object.fromEntries(inputs) : undefined,
  };
}

function readEntities(text: string): string {
  const characters: Record<string, string> = { lt: '<', gt: '>', quot: '"', '#39': "'", amp: '&' };
  return text.replace(/&(lt|gt|quot|#39|amp);/g, (_, name) => characters[name]!);
}

/** A service whose links lead to its own pages, with ada registered and the link to verify her address. */
export async function registered(env: Record<string, string> = {}, options: StartOptions = {}) {
  const service = await start({ ...options, env });
  const { user } = await service.clients('json').auth.register(ada);
  return { service, user: user!, visit: visitor(service), link: await linkTo(service) };
}
