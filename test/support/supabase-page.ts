import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { inboxOf } from './sink-inbox.ts';
import { startSink } from './smtp-sink.ts';
import { call, openSite, plain } from './supabase-site.ts';
import { landingOf, type ShownError, type Site, type SiteOptions, type Visitor } from './supabase-visitor.ts';

/** An application in Chromium, on another origin than the service. */
export async function openPages({ env = {}, ...options }: SiteOptions = {}): Promise<Site> {
  const sink = await startSink();
  const own = { ...sink.env, AUTO_CONFIRM_EMAIL: 'off', MAIL_GAP: '0s' };
  const { service, origin, another, anotherBrowser } = await openSite({ ...options, env: { ...own, ...env } });
  const visitor = async () => visitorIn(await another(await anotherBrowser()), origin);
  return { service, origin, inbox: inboxOf(service, sink), visitor };
}

function visitorIn(tab: Page, origin: string): Visitor {
  const written = (method: string, values: readonly unknown[]) =>
    `auth.${method}(${values.map((each) => JSON.stringify(each)).join()})`;
  const outcomeOf = (expression: string) =>
    tab.evaluate<{ error: ShownError | null }>(`(async () => ${plain(expression)})()`);
  return {
    call: (method, ...values) => call(tab, written(method, values)),
    async refusal(method, ...values) {
      const { error } = await outcomeOf(written(method, values));
      if (!error) throw new Error(`${method} was not refused`);
      return error;
    },
    async open(link) {
      await tab.goto(link);
      const { error } = await outcomeOf('auth.initialize()');
      const url = new URL(tab.url());
      expect(url.origin).toBe(origin);
      expect(url.href, 'the library removes tokens from the URL').not.toContain('token');
      const landing = landingOf(url);
      expect(landing.error_description, 'the page shows what the URL says').toBe(error?.message);
      return landing;
    },
    async reload() {
      await tab.reload();
    },
    events: () => tab.evaluate('auth.initialize().then(() => events)'),
    stored: () => tab.evaluate('JSON.stringify(localStorage)'),
  };
}
