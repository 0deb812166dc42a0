import { describe, expect, test } from 'vitest';
import { ada } from '../support/people.ts';
import { codeFor, confirmed, followLink } from '../support/supabase.ts';
import { useTotp, verifyTotp } from '../support/supabase-factors.ts';
import { adaAtAcme, startSupabaseWithProvider, urlOf } from '../support/supabase-providers.ts';

const { email, password } = ada;

type Started = Awaited<ReturnType<typeof started>>;
type Client = ReturnType<Started['client']>;

/** Ada with an authenticator app and an identity at a provider. */
async function started() {
  const supabase = await startSupabaseWithProvider({ env: { ...confirmed, MAIL_GAP: '0s' } });
  const owner = supabase.client();
  await owner.signUp({ email, password });
  await supabase.browser().signIn(await urlOf(supabase.client()), adaAtAcme);
  const factor = await useTotp(supabase.service, owner);
  return { ...supabase, owner, factor };
}

/** The ways in which the library gets a session. Each returns the error. */
const ways: Readonly<Record<string, (auth: Client, started: Started) => Promise<unknown>>> = {
  signInWithPassword: async (auth) => (await auth.signInWithPassword({ email, password })).error,
  async refreshSession(auth) {
    await auth.signInWithPassword({ email, password });
    return (await auth.refreshSession()).error;
  },
  async exchangeCodeForSession(auth, { browser, service }) {
    const { query } = await browser().signIn(await urlOf(auth), adaAtAcme);
    service.ledger.keepSecret(query.code!);
    return (await auth.exchangeCodeForSession(query.code!)).error;
  },
  async 'verifyOtp with a code'(auth, { service }) {
    await auth.signInWithOtp({ email });
    return (await auth.verifyOtp({ email, token: await codeFor(service, email), type: 'email' })).error;
  },
  async 'the link of a recovery'(auth, { service, client }) {
    await client().resetPasswordForEmail(email);
    const { access_token = '', refresh_token = '' } = (await followLink(service, email)).fragment;
    return (await auth.setSession({ access_token, refresh_token })).error;
  },
  async signInWithIdToken(auth, { provider }) {
    const token = await provider.idToken(adaAtAcme);
    return (await auth.signInWithIdToken({ provider: 'custom:acme', token })).error;
  },
};

describe('a client of a user with a factor', () => {
  test.each(Object.keys(ways))('knows after %s, without a further request, that the factor comes next', async (way) => {
    const prepared = await started();
    const { service, client, factor } = prepared;
    const auth = client({ flowType: way === 'exchangeCodeForSession' ? 'pkce' : 'implicit' });
    expect(await ways[way]!(auth, prepared)).toBeNull();
    const { session } = (await auth.getSession()).data;
    expect(session!.user.factors).toMatchObject([{ id: factor.factorId, status: 'verified' }]);
    const level = async () => (await auth.mfa.getAuthenticatorAssuranceLevel()).data;
    expect(await level()).toMatchObject({ currentLevel: 'aal1', nextLevel: 'aal2' });
    service.pass(30);
    await verifyTotp(service, auth, factor);
    expect(await level()).toMatchObject({ currentLevel: 'aal2', nextLevel: 'aal2' });
  });
});
