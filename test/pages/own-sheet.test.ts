import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { faultsOf, makeDirectory, read } from '../support/config-fixtures.ts';
import { linkTo, registered, visitor } from '../support/page.ts';
import { send } from '../support/raw-http.ts';
import { start } from '../support/start.ts';
import { installedBrowser, openBrowser } from './browser.ts';

const sheet = ':root { --card: rgb(1, 2, 3) !important; }\nmain { border-radius: 0; }\n';

function written(text: string | Buffer): string {
  const file = path.join(makeDirectory(), 'pages.css');
  writeFileSync(file, text);
  return file;
}

const withSheet = () => registered({ PAGES_STYLESHEET: written(sheet) });

test('every page refers to the style sheet of the operator, which has its hash in its name and may be kept', async () => {
  const { service, visit, link } = await withSheet();
  const name = `/pages-${createHash('sha256').update(sheet).digest('hex').slice(0, 32)}.css`;
  for (const at of [link.path, '/sign-in', '/magic-link']) {
    const { text, headers } = await visit.open(at);
    expect(text).toContain(`<link rel="stylesheet" href="${name}">`);
    const policy = headers['content-security-policy'];
    expect(policy).toContain(`' http://gatehouse.test${name};`);
    expect(policy, 'it loads nothing itself').toMatch(/^default-src 'none';(?!.*(img|font)-src)/);
  }
  const { httpPort } = service.replicas[0]!;
  const served = await send(httpPort, { method: 'GET', path: name });
  expect(served).toMatchObject({
    status: 200,
    text: sheet,
    headers: {
      'content-type': 'text/css; charset=utf-8',
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
    },
  });
  expect((await send(httpPort, { method: 'HEAD', path: name })).text).toBe('');
  expect((await send(httpPort, { path: name })).status).toBe(404);
  expect((await send(httpPort, { method: 'GET', path: '/pages-0123.css' })).status).toBe(404);
});

test('without a style sheet of the operator no page refers to one', async () => {
  const { text, headers } = await visitor(await start()).open('/sign-in');
  expect(text).not.toContain('<link');
  expect(headers['content-security-policy']).not.toContain('.css');
});

test.each([
  ['is missing', () => '/nowhere/pages.css', 'cannot be read (ENOENT)'],
  ['is a directory', () => makeDirectory(), 'cannot be read (EISDIR)'],
  ['is not in UTF-8', () => written(Buffer.from([0xff, 0xfe, 0x41])), 'not in UTF-8'],
  ['is too large', () => written('a'.repeat(65_537)), 'larger than 64 KiB'],
  ['has a path with a NUL', () => 'a\0b', 'cannot be read'],
])('a file that %s is a fault of the configuration', (_, file, why) => {
  const { faults } = faultsOf({ PAGES_STYLESHEET: file() });
  const allowed = 'the path of a CSS file in UTF-8 of at most 64 KiB';
  expect(faults).toMatchObject([{ variable: 'PAGES_STYLESHEET', found: expect.stringContaining(why), allowed }]);
});

test('a file of 64 KiB is read', () => {
  expect(read({ PAGES_STYLESHEET: written('a'.repeat(65_536)) }).pagesStylesheet).toHaveLength(65_536);
});

if (!installedBrowser)
  console.warn('NOT TRIED: style sheets in a browser, because there is no Chromium on this machine');

describe.runIf(installedBrowser)('in a browser', { timeout: 60_000 }, () => {
  test('the style sheet applies, also after a form was sent', async () => {
    const { service } = await withSheet();
    const page = await openBrowser(service);
    const { path: at } = await linkTo(service);
    await page.goto(`http://gatehouse.test${at}`);
    const look = () =>
      page.locator('main').evaluate((element) => {
        const { getComputedStyle } = globalThis as never as { getComputedStyle(of: unknown): Record<string, string> };
        const { backgroundColor, borderRadius } = getComputedStyle(element);
        return [backgroundColor, borderRadius];
      });
    expect(await look()).toEqual(['rgb(1, 2, 3)', '0px']);
    await page.getByRole('button').click();
    await page.getByRole('heading', { name: 'Your address is verified' }).waitFor();
    expect(await look()).toEqual(['rgb(1, 2, 3)', '0px']);
  });
});
