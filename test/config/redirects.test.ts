import { expect, test } from 'vitest';
import { faulty, production, read } from '../support/config-fixtures.ts';

test('links lead back to SITE_URL, else to FRONTEND_URL, else to PUBLIC_URL', () => {
  const { PUBLIC_URL } = production;
  expect(read(production).redirects).toEqual({ siteUrl: PUBLIC_URL, redirectUrls: [] });
  const fronted = { ...production, FRONTEND_URL: 'https://app.example.com/' };
  expect(read(fronted).redirects.siteUrl).toBe('https://app.example.com');
  expect(read({ ...fronted, SITE_URL: 'https://example.com' }).redirects.siteUrl).toBe('https://example.com');
});

test('production refuses a SITE_URL without https', () => {
  expect(faulty({ ...production, SITE_URL: 'http://app.example.com' })).toEqual(['SITE_URL']);
});

test.each(['example.com', 'https://[a-c.example.com', 'https://{a}.example.com', 'https://a.example.com/\tx', '**'])(
  'REDIRECT_URLS refuses %j',
  (pattern) => {
    expect(faulty({ REDIRECT_URLS: pattern })).toEqual(['REDIRECT_URLS']);
  },
);
