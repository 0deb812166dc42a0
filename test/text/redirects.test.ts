import { describe, expect, test } from 'vitest';
import { Redirects } from '../../src/text/redirects.ts';

const site = 'https://app.example.com/home';
const redirects = new Redirects({
  siteUrl: site,
  redirectUrls: [
    'https://*.example.com/**',
    'https://example.org',
    'com.example.app://callback',
    'https://v?.example.net/[a-c]*',
  ],
});

describe('a place is allowed', () => {
  test.each([
    ['a page of the site', 'https://app.example.com/deep/page?tab=1'],
    ['a fragment, which no pattern sees', 'https://example.org#here'],
    ['an address of this machine, at any port', 'http://127.0.0.1:8976/callback'],
    ['an IPv6 address of this machine', 'http://[::1]:8976/callback'],
    ['a listed subdomain, at any depth of the path', 'https://shop.example.com/a/b.c/d'],
    ['a listed origin, with and without the slash', 'https://example.org/'],
    ['the scheme of an app', 'com.example.app://callback'],
    ['one character and a set', 'https://v2.example.net/basket'],
    ['the default port, spelled out', 'https://app.example.com:443/page'],
  ])('%s', (_, url) => {
    expect(redirects.choose(url)).toBe(new URL(url).href);
  });
});

describe('everything else leads to SITE_URL', () => {
  test.each([
    ['another host', 'https://evil.com/'],
    ['the host of the site as a user', 'https://app.example.com@evil.com/'],
    ['the site with a user', 'https://ada@app.example.com/'],
    ['the site as the beginning of another host', 'https://app.example.com.evil.com/'],
    ['the site over another scheme', 'http://app.example.com/'],
    ['the site at another port', 'https://app.example.com:8443/'],
    ['two labels where the pattern has one', 'https://a.b.example.com/'],
    ['a path where the pattern has a label', 'https://evil.com/.example.com/x'],
    ['a path on a host without a dot where the pattern has a label', 'https://evil/.example.com/x'],
    ['a query where the pattern has a label', 'https://evil.com?.example.com/x'],
    ['a path below a listed origin without a pattern', 'https://example.org/other'],
    ['an address of another machine', 'http://10.0.0.1/'],
    ['loopback as one number', 'http://2130706433/'],
    ['loopback in octal', 'http://0177.0.0.1/'],
    ['loopback as an address of IPv6', 'http://[::ffff:127.0.0.1]/'],
    ['loopback with another scheme', 'ftp://127.0.0.1/'],
    ['a host in full-width letters', 'https://ａpp.example.com/'],
    ['a host that is percent-encoded', 'https://app%2Eexample.com/'],
    ['a backslash', 'https://app.example.com\\@evil.com/'],
    ['a line break', 'https://app.example.com/\nSet-Cookie: a=b'],
    ['no slashes after the scheme', 'https:app.example.com/'],
    ['a relative URL', '//evil.com/'],
    ['a path', '/home'],
    ['a script', 'javascript://app.example.com/%0aalert(1)'],
    ['data', 'data:text/html,hello'],
    ['a character outside the set', 'https://v2.example.net/zebra'],
    ['two characters for one', 'https://v22.example.net/basket'],
    ['a very long URL', `https://app.example.com/${'a'.repeat(2000)}`],
    ['nothing', ''],
  ])('%s', (_, url) => {
    expect(redirects.choose(url)).toBe(site);
  });

  test('scripts do so also when every URL is listed', () => {
    const open = new Redirects({ siteUrl: site, redirectUrls: ['**'] });
    expect(open.choose('javascript:alert(1)')).toBe(site);
    expect(open.choose('https://user@evil.com/')).toBe(site);
    expect(open.choose('http://10.0.0.1/')).toBe(site);
    expect(open.choose('https://anywhere.org/x')).toBe('https://anywhere.org/x');
  });
});

test('the first allowed place wins, and a missing one is skipped', () => {
  expect(redirects.choose(undefined, '', 'https://evil.com/', 'https://example.org/', site)).toBe(
    'https://example.org/',
  );
});

test('the development server of a local site may be at any port', () => {
  const local = new Redirects({ siteUrl: 'http://localhost:3000', redirectUrls: [] });
  expect(local.choose('http://localhost:5173/done')).toBe('http://localhost:5173/done');
  expect(local.choose('http://localhost.evil.com/')).toBe('http://localhost:3000/');
});

test('a long text is compared with a pattern of many stars in proportion to its length', () => {
  const starry = new Redirects({ siteUrl: site, redirectUrls: [`https://example.com/${'**a'.repeat(20)}`] });
  const begun = performance.now();
  for (let round = 0; round < 20; round++) starry.choose(`https://example.com/${'a'.repeat(1900)}b`);
  expect(performance.now() - begun).toBeLessThan(2000);
});
