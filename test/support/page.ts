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
export function visitor({ replicas }: TestService): Visitor {
  const port = replicas[0]!.httpPort;
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
  const inputs = [...text.matchAll(/<input\b[^>]*>/g)].map(([tag]) => [
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
