import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { installedBrowser } from '../pages/browser.ts';
import { ada, asService, bob } from '../support/people.ts';
import { inboxOf } from '../support/sink-inbox.ts';
import { startSink } from '../support/smtp-sink.ts';
import { flowTypes } from '../support/supabase.ts';
import { call, openSite, type PageOptions, plain } from '../support/supabase-site.ts';
import { expiredLink } from './flows/flow.ts';

if (!installedBrowser) console.warn('NOT TRIED: links in mail with auth-js, because there is no Chromium here');

const { email } = ada;

/** A tab in which ada has asked for a link to sign in. */
async function linkSent({ env = {}, path = '/', ...options }: PageOptions & { readonly path?: string } = {}) {
  const sink = await startSink();
  const site = await openSite({ ...options, env: { ...sink.env, MAIL_GAP: '0s', ...env } });
  await site.service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);
  const emailRedirectTo = `${site.origin}${path}`;
  await call(site.tab, `auth.signInWithOtp(${JSON.stringify({ email, options: { emailRedirectTo } })})`);
  return { ...site, link: await inboxOf(site.service, sink).link(email) };
}

/** What the library reports of the URL of the page. */
const problemOf = async (tab: Page) =>
  (await tab.evaluate<{ error: unknown }>(`(async () => ${plain('auth.initialize()')})()`)).error;

const signedInAs = async (tab: Page): Promise<string | undefined> =>
  (await call(tab, 'auth.getSession()')).session?.user.email;

describe.runIf(installedBrowser)('a link in a mail, in Chromium', { timeout: 120_000 }, () => {
  test.each(flowTypes)('signs in the tab that it opens and the tab that asked for it (%s)', async (flowType) => {
    const { tab, another, link } = await linkSent({ flowType });
    const opened = await another();
    await opened.goto(link);
    expect(await problemOf(opened)).toBeNull();
    await expect.poll(() => tab.evaluate('events')).toContain('SIGNED_IN');
    for (const each of [tab, opened]) expect((await call(each, 'auth.getUser()')).user.email).toBe(email);
    await call(opened, 'auth.refreshSession()');
    expect((await call(tab, 'auth.getUser()')).user.email).toBe(email);
  });

  test.each(flowTypes)('that is opened in two tabs at once signs in the browser once (%s)', async (flowType) => {
    const { service, another, link } = await linkSent({ flowType });
    const tabs = [await another(), await another()];
    await Promise.all(tabs.map((each) => each.goto(link)));
    const problems = await Promise.all(tabs.map(problemOf));
    expect(problems.filter((each) => each === null)).toHaveLength(1);
    expect(problems.find((each) => each !== null)).toMatchObject({ message: expiredLink.error_description });
    for (const each of tabs) expect((await call(each, 'auth.getUser()')).user.email).toBe(email);
    expect(await service.database.query('select 1 from sessions')).toHaveLength(1);
  });

  test.each(flowTypes)('signs in its own user where another one is signed in (%s)', async (flowType) => {
    const { service, tab, link } = await linkSent({ flowType });
    await service.clients('json').admin.createUser({ ...bob, emailVerified: true }, asService);
    await call(tab, `auth.signInWithPassword(${JSON.stringify({ email: bob.email, password: bob.password })})`);
    await tab.goto(link);
    expect([await problemOf(tab), await signedInAs(tab)]).toEqual([null, email]);
  });

  test.each(flowTypes)(
    'that a mail program has cut, and one that is too old, say so on the page (%s)',
    async (flowType) => {
      const { service, tab, link } = await linkSent({ flowType });
      const cut = new URL(link);
      cut.searchParams.set('token', cut.searchParams.get('token')!.slice(0, -1));
      await tab.goto(cut.href);
      expect(await problemOf(tab)).toMatchObject({ message: expiredLink.error_description });
      service.pass(3601);
      await tab.goto(link);
      expect(Object.fromEntries(new URLSearchParams(new URL(tab.url()).hash.slice(1)))).toMatchObject(expiredLink);
      expect([await problemOf(tab), await signedInAs(tab)]).toEqual([
        expect.objectContaining({ message: expiredLink.error_description }),
        undefined,
      ]);
    },
  );

  test('with PKCE leads to a page that an application has behind a hash', async () => {
    const { tab, link, origin } = await linkSent({ flowType: 'pkce', path: '/?lang=de#/account' });
    await tab.goto(link);
    expect([await problemOf(tab), await signedInAs(tab)]).toEqual([null, email]);
    expect(tab.url()).toBe(`${origin}/?lang=de#/account`);
  });

  test('with PKCE and the id of its request works although the person has asked again for it', async () => {
    const experimental = { appendPkceFlowIdToRedirects: true };
    const { service, tab, link, origin } = await linkSent({ flowType: 'pkce', experimental, env: { MAIL_GAP: '60s' } });
    await call(tab, `auth.signInWithOtp({ email: '${email}' })`);
    expect(await service.database.query('select 1 from mail_outbox')).toHaveLength(1);
    await tab.goto(link);
    expect([await problemOf(tab), await signedInAs(tab)]).toEqual([null, email]);
    expect(tab.url()).toBe(`${origin}/`);
  });

  test('with PKCE has a code for one session, and a code that is used or foreign signs nobody out', async () => {
    const { service, tab, link } = await linkSent({ flowType: 'pkce' });
    const code = new Promise<string>((resolve) => {
      tab.on('request', (request) => {
        const { auth_code } = request.postDataJSON() ?? {};
        if (auth_code) resolve(auth_code);
      });
    });
    await tab.goto(link);
    expect(await problemOf(tab)).toBeNull();
    for (const foreign of [await code, 'abc123']) {
      await call(tab, `auth.signInWithOtp({ email: '${bob.email}' })`);
      await tab.goto(`${new URL(tab.url()).origin}/?code=${foreign}`);
      expect(await problemOf(tab)).toMatchObject({ status: 404, code: 'flow_state_not_found' });
      expect((await call(tab, 'auth.getUser()')).user.email, 'the session goes on').toBe(email);
    }
    expect(await service.database.query('select 1 from sessions')).toHaveLength(1);
  });

  test('without a token shows why, and one to another site leads to this one', async () => {
    const { tab, link, origin } = await linkSent();
    for (const name of ['token', 'type']) {
      const incomplete = new URL(link);
      incomplete.searchParams.delete(name);
      const response = await tab.goto(incomplete.href);
      expect(response!.status()).toBe(400);
      expect(await tab.innerText('body')).toContain('Verify requires a');
    }
    const forged = new URL(link);
    forged.searchParams.set('redirect_to', 'https://evil.example/');
    await tab.goto(forged.href);
    expect([await problemOf(tab), await signedInAs(tab)]).toEqual([null, email]);
    expect(new URL(tab.url()).origin).toBe(origin);
  });

  test('is in no referrer of the site', async () => {
    const { tab, link } = await linkSent();
    const referrers: string[] = [];
    tab.on('request', (request) => void referrers.push(request.headers().referer ?? ''));
    await tab.goto(link);
    expect(await problemOf(tab)).toBeNull();
    expect(referrers.length).toBeGreaterThan(1);
    expect(referrers.join()).not.toContain('token');
  });
});
