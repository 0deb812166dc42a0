import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { installedBrowser } from '../pages/browser.ts';
import { ada } from '../support/people.ts';
import { call, openSite, plain } from '../support/supabase-site.ts';

if (!installedBrowser) console.warn('NOT TRIED: pages of other origins, because there is no Chromium on this machine');

const { email, password } = ada;
const credentials = JSON.stringify({ email, password });

const refusal = async (tab: Page, expression: string) =>
  (await tab.evaluate<{ error: unknown }>(`(async () => ${plain(expression)})()`)).error;

/** The methods and headers that the browser asks about before it sends them. */
async function watchPreflights(tab: Page) {
  const session = await tab.context().newCDPSession(tab);
  const asked = new Set<string>();
  session.on('Network.requestWillBeSentExtraInfo', ({ headers }) => {
    const named = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    const method = named['access-control-request-method'];
    if (method) for (const each of [method, ...named['access-control-request-headers']!.split(',')]) asked.add(each);
  });
  await session.send('Network.enable');
  // The browser keeps what it may send to a URL.
  await session.send('Network.setCacheDisabled', { cacheDisabled: true });
  return asked;
}

describe.runIf(installedBrowser)('a page of another origin', { timeout: 120_000 }, () => {
  test('may send what the library sends with every method, and reads what it needs of the responses', async () => {
    const { tab, service } = await openSite({ env: { LIMITS: 'AuthService.SignIn:supabase=2' } });
    const asked = await watchPreflights(tab);
    await call(tab, `auth.signUp(${credentials})`);
    await call(tab, 'auth.getUser()');
    await call(tab, `auth.updateUser({ data: { theme: 'dark' } })`);
    const { id } = await call(tab, `auth.mfa.enroll({ factorType: 'totp' })`);
    await call(tab, `auth.mfa.unenroll({ factorId: '${id}' })`);
    await call(tab, 'auth.signOut()');
    const headers = ['apikey', 'authorization', 'content-type', 'x-client-info', 'x-supabase-api-version'];
    expect([...asked].toSorted()).toEqual(['DELETE', 'GET', 'POST', 'PUT', ...headers]);
    for (const refused of [
      { code: 'invalid_credentials', status: 400 },
      { code: 'invalid_credentials', status: 400 },
      { code: 'over_request_rate_limit', status: 429 },
    ])
      expect(await refusal(tab, `auth.signInWithPassword({ email: '${email}', password: 'another' })`)).toMatchObject({
        ...{ name: 'AuthApiError', ...refused },
      });
    expect(await service.database.query('select 1 from users')).toHaveLength(1);
  });

  test('that CORS_ORIGINS does not list changes nothing, and the library reports a network error', async () => {
    const { tab, service } = await openSite({ env: { CORS_ORIGINS: 'https://app.example.com' } });
    for (const attempt of [`auth.signUp(${credentials})`, 'auth.signInAnonymously()'])
      expect(await refusal(tab, attempt)).toMatchObject({ name: 'AuthRetryableFetchError', status: 0 });
    expect(await service.database.query('select 1 from users')).toEqual([]);
  });
});
