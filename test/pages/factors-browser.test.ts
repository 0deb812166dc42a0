import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { codeOf } from '../support/authenticator.ts';
import { nextCode, withFactor } from '../support/factor-pages.ts';
import { ada } from '../support/people.ts';
import { start } from '../support/start.ts';
import { contrastOf, focusOf, installedBrowser, openBrowser, overflowOf, typeIntoFocus } from './browser.ts';

if (!installedBrowser)
  console.warn('NOT TRIED: the pages of factors, in a browser, because there is no Chromium on this machine');

const site = 'http://gatehouse.test';
const phone = { width: 375, height: 667 };

async function enterPassword(page: Page, path: string): Promise<void> {
  await page.goto(`${site}${path}`);
  await typeIntoFocus(page, ada.email);
  await page.keyboard.press('Tab');
  await typeIntoFocus(page, ada.password);
  await page.keyboard.press('Enter');
}

function heading(page: Page, name: string): Promise<void> {
  return page.getByRole('heading', { name, exact: true, level: 1 }).waitFor();
}

/** Presses Tab until the focus is on what has this text. */
async function tabTo(page: Page, label: string): Promise<void> {
  for (let presses = 0; presses < 30; presses += 1) {
    await page.keyboard.press('Tab');
    const text = await page.evaluate(
      'document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent',
    );
    if (String(text).includes(label)) return;
  }
  throw new Error(`no key press reaches ${label}`);
}

async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}

describe.runIf(installedBrowser)('in a browser', { timeout: 120_000 }, () => {
  test.each([{ javaScriptEnabled: true }, { javaScriptEnabled: false }])(
    'a user adds an app and signs in with it by keyboard alone: %o',
    async (options) => {
      const service = await start();
      await service.welcome({ ...ada, emailVerified: true });
      const page = await openBrowser(service, { ...options, viewport: phone });
      await enterPassword(page, '/factors');
      await heading(page, 'Second factors');
      await tabTo(page, 'Add');
      await page.keyboard.press('Enter');
      await heading(page, 'Add an authenticator app');
      const secret = (await page.locator('.key').innerText()).replaceAll(' ', '');
      await page.reload();
      expect((await page.locator('.key').innerText()).replaceAll(' ', '')).toBe(secret);
      await shoot(page, `enrolment-${options.javaScriptEnabled}`);
      expect(await page.locator('.qr svg').boundingBox()).toMatchObject({ width: 240, height: 240 });
      await typeIntoFocus(page, codeOf(secret, service.now()));
      await page.keyboard.press('Enter');
      await heading(page, 'Second factors');
      await page.reload();
      await heading(page, 'Second factors');
      await tabTo(page, 'Create recovery codes');
      await page.keyboard.press('Enter');
      await heading(page, 'Your recovery codes');
      await shoot(page, `codes-${options.javaScriptEnabled}`);
      expect(await page.getByRole('button', { name: 'Print' }).count()).toBe(options.javaScriptEnabled ? 1 : 0);
      const download = page.waitForEvent('download');
      await page.getByRole('link', { name: 'Save as a file' }).click();
      expect((await download).suggestedFilename()).toBe('recovery-codes.txt');
      const [code] = await page.locator('.codes li').allInnerTexts();
      await page.getByRole('link', { name: 'I have kept them' }).click();
      await page.getByText('10 codes are left').waitFor();
      await shoot(page, `factors-${options.javaScriptEnabled}`);
      await page.goto(`${site}/sign-out`);
      await page.getByRole('button').click();
      await enterPassword(page, '/sign-in');
      await heading(page, 'Confirm that it is you');
      await shoot(page, `prompt-${options.javaScriptEnabled}`);
      await tabTo(page, 'Use a recovery code');
      await page.keyboard.press('Enter');
      await page.getByLabel('Recovery code').waitFor();
      await typeIntoFocus(page, code!);
      await page.keyboard.press('Enter');
      await heading(page, 'Your devices');
    },
  );

  test('an action is done once after a reload, another factor and Back, without JavaScript', async () => {
    const { service, secret } = await withFactor();
    const page = await openBrowser(service, { javaScriptEnabled: false, viewport: phone });
    await enterPassword(page, '/factors');
    await heading(page, 'Confirm that it is you');
    await page.getByLabel('Code').fill(nextCode(service, secret));
    await page.keyboard.press('Enter');
    await heading(page, 'Second factors');
    service.pass(601);
    await page.getByRole('button', { name: 'Remove: phone' }).click();
    const named = page.getByText('Remove the factor “phone”');
    await named.waitFor();
    await page.getByRole('link', { name: 'Use a recovery code' }).click();
    await page.getByLabel('Recovery code').waitFor();
    await page.reload();
    await page.getByLabel('Recovery code').waitFor();
    await named.waitFor();
    await page.goBack();
    await page.getByLabel('Code', { exact: true }).waitFor();
    await named.waitFor();
    await shoot(page, 'action');
    await page.getByLabel('Code').fill(nextCode(service, secret));
    await page.keyboard.press('Enter');
    await page.getByText('You have no second factor.').waitFor();
    await page.reload();
    await page.getByText('You have no second factor.').waitFor();
  });

  test('after a factor was added, the first tab reloads at AAL2 and a second one goes on', async () => {
    const service = await start();
    const { user } = await service.welcome({ ...ada, emailVerified: true });
    const page = await openBrowser(service, { viewport: phone });
    await enterPassword(page, '/factors');
    await heading(page, 'Second factors');
    const second = await page.context().newPage();
    await second.goto(`${site}/devices`);
    await heading(second, 'Your devices');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await heading(page, 'Add an authenticator app');
    const secret = (await page.locator('.key').innerText()).replaceAll(' ', '');
    await page.locator('#code').fill(codeOf(secret, service.now()));
    await page.keyboard.press('Enter');
    await heading(page, 'Second factors');
    await page.reload();
    await heading(page, 'Second factors');
    const levels = await service.database.query(
      `select aal from sessions where user_id = $1 and kind = 'web' and revoked_at is null order by id desc limit 1`,
      [user.id],
    );
    expect(levels).toEqual([{ aal: 2 }]);
    const redirects: number[] = [];
    for (const each of [page, second])
      each.on('response', (response) => redirects.push(response.status() === 303 ? 1 : 0));
    await second.getByRole('link', { name: 'Second factors' }).click();
    await heading(second, 'Second factors');
    await second.getByRole('button', { name: 'Create recovery codes' }).click();
    await heading(second, 'Your recovery codes');
    await second.goto(`${site}/devices`);
    await heading(second, 'Your devices');
    expect(
      redirects.reduce((sum, each) => sum + each, 0),
      'no page sends the second tab elsewhere',
    ).toBe(0);
  });

  test('recovery codes are copied by a button', async () => {
    const { service, secret } = await withFactor();
    const page = await openBrowser(service);
    await enterPassword(page, '/factors');
    await page.getByLabel('Code').fill(nextCode(service, secret));
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Replace recovery codes' }).click();
    await heading(page, 'Your recovery codes');
    // The page is not served over TLS here, and browsers give it no clipboard.
    await page.evaluate(
      'Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => { globalThis.copied = text; } } })',
    );
    await page.getByRole('button', { name: 'Copy' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    const codes = await page.locator('.codes li').allInnerTexts();
    expect(await page.evaluate('globalThis.copied')).toBe(codes.join('\n'));
    await page.evaluate('globalThis.print = () => { globalThis.printed = true; }');
    await page.getByRole('button', { name: 'Print' }).click();
    expect(await page.evaluate('globalThis.printed')).toBe(true);
  });

  test.each(['light', 'dark'] as const)('the pages are legible and narrow in %s mode', async (colorScheme) => {
    const { service, secret } = await withFactor();
    const page = await openBrowser(service, { colorScheme, locale: 'de-AT', viewport: { width: 320, height: 640 } });
    const check = async (name: string, ...parts: string[]) => {
      await shoot(page, `${name}-${colorScheme}`);
      expect(await overflowOf(page), page.url()).toBe(0);
      for (const part of parts) expect(await contrastOf(page, part), part).toBeGreaterThanOrEqual(4.5);
    };
    await enterPassword(page, '/factors');
    await heading(page, 'Bestätigen Sie, dass Sie es sind');
    expect(await focusOf(page)).toBe('input#code');
    await check('prompt', 'h1', 'label >> nth=0', '.option', 'button >> nth=0', 'a >> nth=0', '.quiet');
    await page.locator('#code').fill(nextCode(service, secret));
    await page.keyboard.press('Enter');
    await heading(page, 'Zweite Faktoren');
    await check('factors', 'h2 >> nth=0', '.hint >> nth=0', '.quiet >> nth=0');
    await page.locator('#name').fill('Tablet');
    await page.keyboard.press('Enter');
    await heading(page, 'Authenticator-App hinzufügen');
    await check('enrolment', '.key', 'label');
    await page.goto(`${site}/factors`);
    await page.getByRole('button', { name: 'Ersatzcodes erneuern' }).click();
    await heading(page, 'Ihre Ersatzcodes');
    await check('codes', '.codes li >> nth=0', 'a >> nth=0', '.show >> nth=0');
  });
});
