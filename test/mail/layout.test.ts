import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { MailKind } from '../../src/mail/mail-messages.ts';
import { textsWithCode } from '../../src/mail/template-files.ts';
import { Templates } from '../../src/mail/templates.ts';
import { onColor } from '../../src/text/color.ts';
import { contrastOf, installedBrowser, openBrowser, overflowOf } from '../pages/browser.ts';
import { look } from '../support/look.ts';
import { start } from '../support/start.ts';

if (!installedBrowser) console.warn('NOT TRIED: mails in a browser, because there is no Chromium on this machine');

const kindsWithCode = new Map(Object.entries(textsWithCode).map(([kind, name]) => [name as string, kind as MailKind]));

const folder = path.resolve('src/mail/templates');
const languages = readdirSync(folder);
const names = readdirSync(path.join(folder, 'en')).map((each) => path.parse(each).name);

const link = `https://app.example.org/verify-email?token=ghot_${'x'.repeat(56)}`;
const variables = {
  site: 'Example',
  email: 'ada@example.org',
  name: 'Ada',
  link,
  reject_link: link.replace('verify-email', 'reject-registration'),
  lifetime: '600',
  time: '2026-11-30T12:00:00Z',
  address: '192.0.2.1',
  device: 'Firefox on Linux',
  account: 'The engine works',
  inviter: 'Bob',
};

/** A mail, and its variables: a mail with a code beside its link has a text of its own. */
function mailOf(name: string): [kind: MailKind, variables: Record<string, string>] {
  const kind = kindsWithCode.get(name);
  const code = { ...variables, code: '482913' };
  return kind ? [kind, code] : [name as MailKind, name === 'reauthentication' ? code : variables];
}

const mails = languages.flatMap((language) => names.map((name) => ({ language, name })));

describe.each(mails)('$language/$name', ({ language, name }) => {
  const { html, text, subject } = Templates.load('en', look).render(mailOf(name)[0], language, mailOf(name)[1]);

  test('has what its text has', () => {
    const shown = html.replace(/<style>.*?<\/style>/s, '').replace(/<[^>]*>/g, ' ');
    const squeeze = (each: string) => each.replace(/\s+/g, ' ').trim();
    for (const paragraph of text.trim().split('\n\n')) expect(squeeze(shown)).toContain(squeeze(paragraph));
    expect(html).toContain(`<title>${subject}</title>`);
    expect(html).toContain(`<html lang="${language}">`);
  });

  test('has one button if it has a link, which is below it as text', () => {
    const hrefs = [...html.matchAll(/<a href="([^"]*)"/g)].map(([, href]) => href);
    const expected = text.includes(link) ? [link, link] : [];
    if (text.includes(variables.reject_link)) expected.push(variables.reject_link);
    expect(hrefs).toEqual(expected);
  });
});

test('a code is in large digits, and first in what a list of mails shows', () => {
  const [kind, values] = mailOf('magic_code');
  const { html } = Templates.load('en', look).render(kind, 'en', values);
  expect(html).toMatch(/font-size:32px[^>]*letter-spacing:8px[^>]*>482913</);
  expect(html).toMatch(/<div style="display:none[^>]*>482913 – /);
});

test('the name, the logo and the color of the application are in its mails', () => {
  const own = { name: 'Ex & Co', logoUrl: 'https://example.org/logo.png?a=1&b=2', accent: '#ffcc00' };
  const { html } = Templates.load('en', own).render('password_reset', 'en', variables);
  expect(html).toContain('<img src="https://example.org/logo.png?a=1&amp;b=2" alt="Ex &amp; Co"');
  expect(html).toMatch(/bgcolor="#ffcc00".*color:#000000/);
});

test('text on a color is black or white, whichever is more legible', () => {
  const colors = ['#000000', '#0b57d0', '#7a1fa2', '#767676', '#777777', '#ff0000', '#00ff00', '#ffcc00', '#ffffff'];
  expect(colors.map(onColor)).toEqual([
    ...Array(3).fill('#ffffff'),
    ...['#000000', '#000000', '#000000', '#000000', '#000000', '#000000'],
  ]);
});

test('the settings of the look are on pages and in mails', async () => {
  const service = await start({
    env: { APP_NAME: 'Example', LOGO_URL: 'https://cdn.example.org/logo.png', ACCENT_COLOR: '#FFCC00' },
  });
  const answer = await fetch(`http://127.0.0.1:${service.replicas[0]!.httpPort}/sign-in`);
  const text = await answer.text();
  expect(text).toContain('<img src="https://cdn.example.org/logo.png" alt="Example">');
  expect(text).toContain('--button: #ffcc00 !important; --on-button: #000000 !important;');
  expect(answer.headers.get('content-security-policy')).toContain('img-src https://cdn.example.org;');
});

// A browser starts slowly on a busy machine.
describe.runIf(installedBrowser)('in a browser', { timeout: 120_000 }, () => {
  test.each(['light', 'dark'] as const)('every mail is legible and narrow enough in %s mode', async (colorScheme) => {
    const service = await start();
    const page = await openBrowser(service, { colorScheme });
    const templates = Templates.load('en', look);
    for (const { language, name } of mails) {
      const [kind, values] = mailOf(name);
      await page.setContent(templates.render(kind, language, values).html);
      for (const width of [320, 640]) {
        await page.setViewportSize({ width, height: 640 });
        expect(await overflowOf(page), `${language}/${name} at ${width}`).toBe(0);
      }
      for (const part of ['.text >> nth=0', 'td.faint'])
        expect(await contrastOf(page, part), `${language}/${name} ${part}`).toBeGreaterThanOrEqual(4.5);
      for (const part of ['.faint a >> nth=0', 'td[bgcolor="#0b57d0"] a'])
        if ((await page.locator(part).count()) > 0)
          expect(await contrastOf(page, part), `${language}/${name} ${part}`).toBeGreaterThanOrEqual(4.5);
    }
  });
});
