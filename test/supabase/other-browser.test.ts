// @serializable
import { expect, test } from 'vitest';
import { ada } from '../support/people.ts';
import { Barrier, crowd, together } from '../support/race.ts';
import type { StartOptions } from '../support/start.ts';
import { confirmed, followLink, startSupabase, surfaceOf } from '../support/supabase.ts';

const { email, password } = ada;
const env = { SITE_URL: 'http://app.example.com/', REDIRECT_URLS: 'http://app.example.com/**' };

type Stored = ReadonlyMap<string, string>;

/** The verifier that the library keeps in the browser that signs up. */
function verifierIn(stored: Stored): string {
  const [, value] = [...stored].find(([name]) => name.endsWith('code-verifier'))!;
  return JSON.parse(value).split('/')[0];
}

/** A sign-up in one browser, whose link was opened: the code and the verifier. */
async function signedUp(options: StartOptions = {}) {
  const supabase = await startSupabase({ ...options, env: { ...env, ...options.env } });
  const auth = supabase.client({ flowType: 'pkce' });
  await auth.signUp({ email, password });
  const { code } = (await followLink(supabase.service, email)).query;
  supabase.service.ledger.keepSecret(code!);
  const exchange = (body: object, replica = 0) =>
    surfaceOf(supabase.service, replica).request('POST', '/token?grant_type=pkce', { body });
  return { ...supabase, auth, code: code!, verifier: verifierIn(auth.stored), exchange };
}

test('a link that is opened in another browser confirms the address, and leaves the code to the browser that signed up', async () => {
  const { auth, client, code, exchange, service } = await signedUp();
  const missing = 'invalid request: both auth code and code verifier should be non-empty';
  for (const body of [{ auth_code: code }, { auth_code: code, code_verifier: '' }]) {
    const { status, body: error } = await exchange(body);
    expect([status, error.error_code, error.msg]).toEqual([400, 'validation_failed', missing]);
  }
  const other = client({ flowType: 'pkce' });
  const { data } = await other.signInWithPassword({ email, password });
  expect(data.user!.email_confirmed_at).toBeTypeOf('string');
  service.pass(290);
  const { data: exchanged, error } = await auth.exchangeCodeForSession(code);
  expect([error, exchanged.user!.id]).toEqual([null, data.user!.id]);
  expect((await other.getUser()).error).toBeNull();
});

test('of twenty exchanges of one code one opens a session, which goes on', async () => {
  const barrier = new Barrier('ExchangeCode');
  const { client, code, verifier, exchange } = await signedUp({ replicas: 2, inner: [barrier.interceptor()] });
  barrier.expect(crowd);
  const { answers } = await together((n) => exchange({ auth_code: code, code_verifier: verifier }, n));
  const [won, ...more] = answers.filter(({ status }) => status === 200);
  expect(more).toEqual([]);
  const lost = answers.filter(({ status }) => status !== 200).map(({ status, body }) => [status, body.error_code]);
  expect(lost).toEqual(Array(crowd - 1).fill([404, 'flow_state_not_found']));
  const auth = client();
  await auth.setSession(won!.body);
  expect((await auth.getUser()).data.user!.email).toBe(email);
  expect((await auth.refreshSession()).error).toBeNull();
});

test('a code in the address of a page that another service has set signs nobody out', async () => {
  const { client, request } = await startSupabase({ env: { ...env, ...confirmed } });
  const auth = client({ flowType: 'pkce' });
  await auth.signUp({ email, password });
  const { session } = (await auth.getSession()).data;
  for (const auth_code of ['abc123', '00000000-0000-4000-8000-000000000000', "' or 1=1 --"]) {
    const body = { auth_code, code_verifier: 'v'.repeat(64) };
    const { status, body: error } = await request('POST', '/token?grant_type=pkce', { body });
    expect([status, error.error_code]).toEqual([404, 'flow_state_not_found']);
  }
  expect((await auth.exchangeCodeForSession('abc123')).error).toMatchObject({ status: 404 });
  expect((await auth.getSession()).data.session).toEqual(session);
  expect((await auth.getUser()).error).toBeNull();
});
