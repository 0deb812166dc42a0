import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { installedBrowser } from '../pages/browser.ts';
import { ada } from '../support/people.ts';
import { inboxOf } from '../support/sink-inbox.ts';
import { startSink } from '../support/smtp-sink.ts';
import { flowTypes } from '../support/supabase.ts';
import { call, openSite } from '../support/supabase-site.ts';

if (!installedBrowser) console.warn('NOT TRIED: tabs with auth-js, because there is no Chromium on this machine');

const { email } = ada;
const credentials = JSON.stringify({ email, password: ada.password });
const eventsOf = (tab: Page) => () => tab.evaluate<string[]>('events');

/** Chromium without a screen never hides a tab by itself. */
const show = (tab: Page, state: 'hidden' | 'visible') =>
  tab.evaluate(`{
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => '${state}' });
    void document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  }`);

/** A tab whose user has signed up, and whose time is that of the service. */
async function signedUp() {
  const site = await openSite({ autoRefreshToken: true });
  const context = await site.anotherBrowser();
  await context.clock.install();
  const tab = await site.another(context);
  const { session } = await call(tab, `auth.signUp(${credentials})`);
  const refreshes: string[] = [];
  tab.on('request', (request) => {
    if (request.url().includes('grant_type=refresh_token')) refreshes.push(request.method());
  });
  const pass = async (seconds: number) => {
    site.service.pass(seconds);
    await context.clock.fastForward(seconds * 1000);
  };
  return { ...site, context, tab, session, refreshes, pass };
}

describe.runIf(installedBrowser)('a tab with auth-js', { timeout: 120_000 }, () => {
  test('refreshes the tokens before they expire, while it is visible', async () => {
    const { tab, pass, refreshes, session } = await signedUp();
    await pass(1800);
    expect(refreshes).toEqual([]);
    await pass(1740);
    await expect.poll(eventsOf(tab)).toContain('TOKEN_REFRESHED');
    const { session: later } = await call(tab, 'auth.getSession()');
    expect(later.access_token).not.toBe(session.access_token);
    await pass(1800);
    expect((await call(tab, 'auth.getUser()')).user.email).toBe(email);
  });

  test('that was hidden past the end of its access token refreshes when it is visible again', async () => {
    const { tab, pass, refreshes } = await signedUp();
    await show(tab, 'hidden');
    await pass(7200);
    expect([refreshes, await eventsOf(tab)()]).toEqual([[], ['INITIAL_SESSION', 'SIGNED_IN']]);
    await show(tab, 'visible');
    await expect.poll(eventsOf(tab)).toContain('TOKEN_REFRESHED');
    expect((await call(tab, 'auth.getUser()')).user.email).toBe(email);
    expect(refreshes).toHaveLength(1);
  });

  test('that is shown again without a network keeps its session until there is one', async () => {
    const { tab, pass, context } = await signedUp();
    await show(tab, 'hidden');
    await pass(7200);
    await context.setOffline(true);
    await show(tab, 'visible');
    await pass(60);
    expect(await tab.evaluate('JSON.stringify(localStorage)')).toContain('refresh_token');
    await context.setOffline(false);
    await pass(120);
    await expect.poll(eventsOf(tab)).toContain('TOKEN_REFRESHED');
    expect((await call(tab, 'auth.getUser()')).user.email).toBe(email);
  });

  test('that is shown again after its session was revoked is signed out', async () => {
    const { tab, pass, request, session } = await signedUp();
    await show(tab, 'hidden');
    await request('POST', '/logout', { headers: { authorization: `Bearer ${session.access_token}` } });
    await pass(7200);
    await show(tab, 'visible');
    await expect.poll(eventsOf(tab)).toContain('SIGNED_OUT');
    expect((await call(tab, 'auth.getSession()')).session).toBeNull();
  });

  test('signs in and out with the other tabs', async () => {
    const { tab, another, context } = await openSite();
    const second = await another(context);
    await call(tab, `auth.signUp(${credentials})`);
    await expect.poll(eventsOf(second)).toEqual(['INITIAL_SESSION', 'SIGNED_IN']);
    expect((await call(second, 'auth.getUser()')).user.email).toBe(email);
    await call(second, 'auth.signOut()');
    await expect.poll(eventsOf(tab)).toEqual(['INITIAL_SESSION', 'SIGNED_IN', 'SIGNED_OUT']);
    expect((await call(tab, 'auth.getSession()')).session).toBeNull();
  });

  test.each(flowTypes)('opens a recovery with the event PASSWORD_RECOVERY (%s)', async (flowType) => {
    const sink = await startSink();
    const { service, tab } = await openSite({ flowType, env: sink.env });
    await service.clients('json').auth.register({ email, password: ada.password });
    await call(tab, `auth.resetPasswordForEmail('${email}')`);
    await tab.goto(await inboxOf(service, sink).link(email));
    // With PKCE the library names the event twice.
    const names = async () => new Set(await eventsOf(tab)());
    await expect.poll(names).toEqual(new Set(['PASSWORD_RECOVERY', 'INITIAL_SESSION']));
  });
});
