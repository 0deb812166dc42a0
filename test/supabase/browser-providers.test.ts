import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { installedBrowser } from '../pages/browser.ts';
import { startProvider } from '../support/identity-provider.ts';
import { ada } from '../support/people.ts';
import { type FlowType, flowTypes } from '../support/supabase.ts';
import { adaAtAcme } from '../support/supabase-providers.ts';
import { call, openSite, plain } from '../support/supabase-site.ts';

if (!installedBrowser) console.warn('NOT TRIED: providers of auth-js in a browser, because there is no Chromium here');

const credentials = JSON.stringify({ email: ada.email, password: ada.password });

/** A site whose users can sign in with `acme`, on whose page they consent or cancel. */
async function openSiteWithProvider(flowType: FlowType, env = {}) {
  const provider = await startProvider();
  provider.instead.set('/authorize', (req, res) => {
    const { state, code } = provider.consent(provider.url + req.url!, adaAtAcme);
    const back = new URL(new URL(req.url!, provider.url).searchParams.get('redirect_uri')!);
    const to = (outcome: object) => `${back}?${new URLSearchParams({ state, ...outcome })}`.replaceAll('&', '&amp;');
    res.setHeader('content-type', 'text/html');
    res.end(`<a href="${to({ code })}">Consent</a> <a href="${to({ error: 'access_denied' })}">Cancel</a>`);
  });
  const site = await openSite({
    flowType,
    experimental: { appendPkceFlowIdToRedirects: true },
    env: { OAUTH_PROVIDERS: JSON.stringify({ acme: provider.settings() }), ...env },
  });
  return { ...site, provider };
}

/** Calls a method that leaves the page, and follows a link of the provider's page back to the site. */
async function visitProvider(tab: Page, origin: string, method: string, link: 'Consent' | 'Cancel' = 'Consent') {
  await tab.evaluate(`void auth.${method}({ provider: 'custom:acme' })`);
  await tab.getByText(link).click();
  await tab.waitForURL(`${origin}/**`);
  return tab.evaluate(`(async () => ${plain('auth.initialize().then(({ error }) => ({ data: null, error }))')})()`);
}

const providersOf = async (tab: Page): Promise<string[]> =>
  (await call(tab, 'auth.getUserIdentities()')).identities.map(({ provider }: { provider: string }) => provider);

/** What the URL still has of a sign-in. */
const leftInUrl = (tab: Page) => /[#?].*(token|code|state|error)/.exec(tab.url())?.[0];

describe.runIf(installedBrowser)('providers of auth-js in Chromium', { timeout: 120_000 }, () => {
  test.each(flowTypes)('signInWithOAuth signs in, and leaves nothing in the URL (%s)', async (flowType) => {
    const { service, tab, origin, another } = await openSiteWithProvider(flowType);
    expect(await visitProvider(tab, origin, 'signInWithOAuth')).toEqual({ data: null, error: null });
    const { session } = await call(tab, 'auth.getSession()');
    expect(session).toMatchObject({ token_type: 'bearer', provider_refresh_token: 'of the provider' });
    expect(session.user).toMatchObject({ email: ada.email, app_metadata: { provider: 'acme' } });
    await expect.poll(() => tab.evaluate('events')).toEqual(expect.arrayContaining(['SIGNED_IN']));
    expect(leftInUrl(tab)).toBeUndefined();
    service.ledger.keepSecret(session.provider_token);
    const second = await another();
    expect((await call(second, 'auth.getUser()')).user.email).toBe(ada.email);
    await tab.reload();
    expect((await call(tab, 'auth.refreshSession()')).session.user.id).toBe(session.user.id);
    expect(await service.database.query('select 1 from sessions')).toHaveLength(1);
  });

  test.each(flowTypes)(
    'a user who cancels, or goes back, is not signed in, and may try again (%s)',
    async (flowType) => {
      const { tab, origin } = await openSiteWithProvider(flowType);
      expect(await visitProvider(tab, origin, 'signInWithOAuth', 'Cancel')).toMatchObject({
        error: { message: expect.stringMatching(/./) },
      });
      expect((await call(tab, 'auth.getSession()')).session).toBeNull();
      await tab.evaluate(`void auth.signInWithOAuth({ provider: 'acme' })`);
      await tab.getByText('Consent').waitFor();
      await tab.goBack();
      expect((await call(tab, 'auth.getSession()')).session).toBeNull();
      expect(await visitProvider(tab, origin, 'signInWithOAuth')).toMatchObject({ error: null });
      expect((await call(tab, 'auth.getUser()')).user.email).toBe(ada.email);
    },
  );

  test.each(flowTypes)('a response of the provider signs in no other browser (%s)', async (flowType) => {
    const { service, tab, another, anotherBrowser } = await openSiteWithProvider(flowType);
    await tab.evaluate(`void auth.signInWithOAuth({ provider: 'acme' })`);
    const response = (await tab.getByText('Consent').getAttribute('href'))!;
    const victim = await another(await anotherBrowser());
    await victim.goto(response);
    expect((await call(victim, 'auth.getSession()')).session).toBeNull();
    expect(await service.database.query('select 1 from sessions')).toEqual([]);
  });

  test.each(flowTypes)(
    'sign-ins of two tabs both finish, and a response that is opened again ends no session (%s)',
    async (flowType) => {
      const { service, tab, origin, another } = await openSiteWithProvider(flowType);
      const second = await another();
      const options = JSON.stringify({ provider: 'acme', options: { redirectTo: `${origin}/inside` } });
      for (const each of [tab, second]) {
        await each.evaluate(`void auth.signInWithOAuth(${options})`);
        await each.getByText('Consent').waitFor();
      }
      const response = (await second.getByText('Consent').getAttribute('href'))!;
      for (const each of [tab, second]) {
        await each.getByText('Consent').click();
        await each.waitForURL(`${origin}/inside**`);
        expect((await call(each, 'auth.getUser()')).user.email).toBe(ada.email);
      }
      expect(await service.database.query('select 1 from sessions')).toHaveLength(2);
      await second.goto(response);
      expect(second.url()).toContain('error_code=bad_oauth_state');
      expect((await call(second, 'auth.getUser()')).user.email).toBe(ada.email);
      await call(tab, 'auth.refreshSession()');
      expect(await service.database.query('select 1 from sessions')).toHaveLength(2);
    },
  );

  test.each(flowTypes)('linkIdentity and unlinkIdentity keep the session of all tabs (%s)', async (flowType) => {
    const { service, tab, another, origin } = await openSiteWithProvider(flowType);
    const { user } = await call(tab, `auth.signUp(${credentials})`);
    const second = await another();
    expect(await visitProvider(tab, origin, 'linkIdentity')).toMatchObject({ error: null });
    expect([await providersOf(tab), await providersOf(second)]).toEqual([
      ['email', 'acme'],
      ['email', 'acme'],
    ]);
    const { session } = await call(tab, 'auth.getSession()');
    expect([session.user.id, leftInUrl(tab)]).toEqual([user.id, undefined]);
    service.ledger.keepSecret(session.provider_token);
    const unlink = `auth.getUserIdentities().then(({ data }) => auth.unlinkIdentity(data.identities[1]))`;
    await call(tab, unlink);
    expect(await providersOf(second)).toEqual(['email']);
    await call(second, 'auth.refreshSession()');
    expect((await call(tab, 'auth.getUser()')).user.app_metadata.providers).toEqual(['email']);
    const last = `auth.getUserIdentities().then(({ data }) => auth.unlinkIdentity(data.identities[0]))`;
    expect(await tab.evaluate(`(async () => ${plain(last)})()`)).toMatchObject({
      error: { code: 'single_identity_not_deletable' },
    });
  });
});
