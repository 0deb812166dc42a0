import { type AuthError, GoTrueClient } from '@supabase/auth-js';
import { lastMail } from './inbox.ts';
import { serviceKey } from './people.ts';
import { type StartOptions, start, type TestService } from './start.ts';

/** A key of a project, as supabase-js sends it with every call. No route for users accepts it. */
export const publishableKey = 'sb_publishable_any';

/** Settings under which a new user signs in at once. */
export const confirmed = { AUTO_CONFIRM_EMAIL: 'on' };

export type FlowType = 'implicit' | 'pkce';
export const flowTypes = ['implicit', 'pkce'] as const satisfies readonly FlowType[];

/** A client of the published library, like those of supabase-js. */
export function supabaseClient(
  service: TestService,
  {
    replica = 0,
    key = publishableKey,
    flowType = 'implicit' as const,
    stored = new Map<string, string>(),
  }: {
    replica?: number;
    key?: string;
    flowType?: FlowType;
    /** What an earlier client has stored. */
    stored?: Map<string, string>;
  } = {},
) {
  const { url } = surfaceOf(service, replica);
  const client = new GoTrueClient({
    ...{ url, flowType, autoRefreshToken: false, persistSession: true, detectSessionInUrl: false },
    headers: { Authorization: `Bearer ${key}`, apikey: key },
    storage: {
      getItem: (name) => stored.get(name) ?? null,
      setItem: (name, value) => void stored.set(name, value),
      removeItem: (name) => void stored.delete(name),
    },
  });
  return Object.assign(client, { stored });
}

/** A client with the key of a backend. */
export function supabaseAdmin(service: TestService, key = serviceKey) {
  return supabaseClient(service, { key }).admin;
}

/** Starts a service, and returns clients of its surface. */
export async function startSupabase(options: StartOptions = {}) {
  const service = await start(options);
  return { service, ...surfaceOf(service), client: (more = {}) => supabaseClient(service, more) };
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: the tests compare what is there
  readonly body: any;
}

/** The URL of the surface, and requests to it without a library. */
export function surfaceOf(service: TestService, replica = 0) {
  const { httpPort } = service.replicas[replica % service.replicas.length]!;
  const url = `http://127.0.0.1:${httpPort}/auth/v1`;
  const request = async (
    method: string,
    path: string,
    { body, headers = {} }: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Answer> => {
    const response = await fetch(url + path, {
      ...{ method, redirect: 'manual', headers: { 'content-type': 'application/json;charset=UTF-8', ...headers } },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type') === 'application/json';
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  };
  return { url, request };
}

/** What a caller of the library sees of an error. */
export function shown(
  error: (Partial<Pick<AuthError, 'status' | 'code'>> & Pick<AuthError, 'message'>) | null,
): [status: number | undefined, code: string | undefined, message: string] {
  if (!error) throw new Error('there was no error');
  return [error.status, error.code, error.message];
}

export const asUser = (accessToken: string) => ({ authorization: `Bearer ${accessToken}` });

/** The code in the last mail to an address. */
export async function codeFor(service: TestService, address: string): Promise<string> {
  const { text } = await lastMail(service, address);
  const code = /^\d{6}$/m.exec(text)?.[0];
  if (!code) throw new Error(`no code in the mail to ${address}`);
  return code;
}

/** Opens the link in the last mail to an address, as a browser does, and returns where it leads. */
export async function followLink(service: TestService, address: string) {
  return open(service, (await lastMail(service, address)).link);
}

/** Opens a link to the service. */
export async function open(service: TestService, link: string) {
  const { pathname, search } = new URL(link);
  const response = await fetch(`http://127.0.0.1:${service.replicas[0]!.httpPort}${pathname}${search}`, {
    redirect: 'manual',
  });
  const place = new URL(response.headers.get('location') ?? 'about:blank');
  const fragment = Object.fromEntries(new URLSearchParams(place.hash.slice(1)));
  return { status: response.status, place, fragment, query: Object.fromEntries(place.searchParams) };
}
