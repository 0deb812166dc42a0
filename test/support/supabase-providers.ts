import { type IdentityProvider, type ProviderClaims, startProvider } from './identity-provider.ts';
import type { StartOptions, TestService } from './start.ts';
import { startSupabase } from './supabase.ts';

export const site = 'http://app.example.com/';

/** What the provider says of ada. */
export const adaAtAcme = { sub: 'ada-at-acme', email: 'ada@example.org', email_verified: true, name: 'Ada Lovelace' };

/** A service with the surface, whose users can sign in with `acme`, and with what `providers` makes of the same server. */
export async function startSupabaseWithProvider(
  { env = {}, ...options }: StartOptions = {},
  providers: (provider: IdentityProvider) => object = () => ({}),
) {
  const provider = await startProvider();
  const OAUTH_PROVIDERS = JSON.stringify({ acme: provider.settings(), ...providers(provider) });
  const places = { SITE_URL: site, REDIRECT_URLS: 'http://app.example.com/**,com.example.app://login-callback' };
  const supabase = await startSupabase({ ...options, env: { OAUTH_PROVIDERS, ...places, ...env } });
  return { ...supabase, provider, browser: () => browserOf(supabase.service, provider) };
}

/** A browser, as far as a sign-in with a provider needs one: it follows no redirect by itself, and keeps cookies. */
function browserOf(service: TestService, provider: IdentityProvider) {
  const cookies = new Map<string, string>();
  const visit = async (url: string, init: RequestInit = {}) => {
    const { pathname, search } = new URL(url);
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(`http://127.0.0.1:${service.replicas[0]!.httpPort}${pathname}${search}`, {
      ...init,
      redirect: 'manual',
      headers: { ...init.headers, ...(cookie && { cookie }) },
    });
    for (const set of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set)!;
      cookies.set(name!, value!);
    }
    const location = response.headers.get('location') ?? '';
    return { status: response.status, location, set: response.headers.getSetCookie(), body: await response.text() };
  };
  const arrive = async (parameters: Record<string, string>, method: 'GET' | 'POST' = 'GET') => {
    const form = new URLSearchParams(parameters).toString();
    const callback = 'http://gatehouse.test/auth/v1/callback';
    const sent = { 'content-type': 'application/x-www-form-urlencoded', origin: 'https://appleid.apple.com' };
    const { status, location } = await (method === 'POST'
      ? visit(callback, { method, body: form, headers: sent })
      : visit(`${callback}?${form}`));
    const place = new URL(location);
    const fragment = Object.fromEntries(new URLSearchParams(place.hash.slice(1)));
    return { status, place, fragment, query: Object.fromEntries(place.searchParams) };
  };
  return {
    cookies,
    visit,
    arrive,
    /** Opens the URL of a sign-in, gives consent, and returns where the callback leads. */
    async signIn(url: string, claims: ProviderClaims = adaAtAcme, method: 'GET' | 'POST' = 'GET') {
      return arrive(provider.consent((await visit(url)).location, claims), method);
    },
    /** The same from the page of the provider on. */
    consent: (page: string, claims: ProviderClaims = adaAtAcme) => arrive(provider.consent(page, claims)),
  };
}

type Client = ReturnType<Awaited<ReturnType<typeof startSupabaseWithProvider>>['client']>;

/** Where the library sends a browser that signs in with a provider. */
export async function urlOf(auth: Client, options: object = {}, provider = 'acme'): Promise<string> {
  const { data, error } = await auth.signInWithOAuth({
    provider: provider as 'google',
    options: { skipBrowserRedirect: true, ...options },
  });
  if (error) throw error;
  return data.url!;
}

/** Gives a client the session in a fragment, as the library does in a browser. */
export async function adopt(auth: Client, { access_token = '', refresh_token = '' }: Record<string, string>) {
  const { data, error } = await auth.setSession({ access_token, refresh_token });
  if (error) throw error;
  return data;
}
