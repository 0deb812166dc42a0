import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { lastMail } from '../support/inbox.ts';
import { pathOfLink } from '../support/page.ts';
import { ada } from '../support/people.ts';
import { start } from '../support/start.ts';
import { contrastOf, installedBrowser, openBrowser, overflowOf, typeIntoFocus } from './browser.ts';

if (!installedBrowser)
  console.warn('NOT TRIED: the page of the verification, because there is no Chromium on this machine');

const site = 'http://gatehouse.test';

function heading(page: Page, name: string) {
  return page.getByRole('heading', { name, exact: true, level: 1 }).waitFor();
}

/** Presses Tab until the focus is on what has this text, and Enter. */
async function choose(page: Page, label: string): Promise<void> {
  for (let presses = 0; presses < 30; presses += 1) {
    const text = await page.evaluate('document.activeElement.textContent');
    if (String(text).trim() === label) return page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
  }
  throw new Error(`no key press reaches ${label}`);
}

async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}

const english = {
  locale: 'en-GB',
  ask: 'Sign in a device?',
  approve: 'Approve',
  verify: 'Verify your e-mail address',
  send: 'Send link',
  sent: 'Check your mail',
  verified: 'Your address is verified',
  confirm: 'Verify address',
  onward: 'Continue',
  approved: 'Approved',
};

describe.runIf(installedBrowser)('in a browser', { timeout: 120_000 }, () => {
  test.each([
    { javaScriptEnabled: true, colorScheme: 'light' },
    { javaScriptEnabled: false, colorScheme: 'dark' },
  ] as const)('an unverified user is led to a link and back to the device, by keyboard alone: %o', async (options) => {
    const service = await start();
    await service.clients('json').auth.register(ada);
    const { verificationUriComplete } = await service.clients('json').devices.requestDeviceCode({ clientName: 'TV' });
    const page = await openBrowser(service, { ...options, viewport: { width: 375, height: 667 } });
    await page.goto(`${site}${pathOfLink(verificationUriComplete)}`);
    await typeIntoFocus(page, ada.email);
    await page.keyboard.press('Tab');
    await typeIntoFocus(page, ada.password);
    await page.keyboard.press('Enter');
    await heading(page, english.ask);
    await choose(page, english.approve);
    await page.getByRole('alert').waitFor();
    await choose(page, english.verify);
    await heading(page, english.verify);
    expect(await overflowOf(page)).toBe(0);
    for (const part of ['h1', 'main p >> nth=0', 'button >> nth=0', 'a >> nth=0'])
      expect(await contrastOf(page, part), part).toBeGreaterThanOrEqual(4.5);
    await shoot(page, `verification-${options.colorScheme}`);
    service.pass(61);
    await choose(page, english.send);
    await heading(page, english.sent);
    await shoot(page, `verification-sent-${options.colorScheme}`);
    await page.goto((await lastMail(service, ada.email)).link);
    await choose(page, english.confirm);
    await heading(page, english.verified);
    await choose(page, english.onward);
    await heading(page, english.ask);
    await choose(page, english.approve);
    await heading(page, english.approved);
  });

  test('a user without a session types the address, in German, on a narrow screen', async () => {
    const service = await start({ env: { REQUIRE_VERIFIED_EMAIL: 'on' } });
    await service.clients('json').auth.register(ada);
    service.pass(61);
    const page = await openBrowser(service, { locale: 'de-DE', viewport: { width: 320, height: 640 } });
    await page.goto(`${site}/verification?next=%2Fdevices`);
    expect(await overflowOf(page)).toBe(0);
    await shoot(page, 'verification-german');
    await typeIntoFocus(page, ada.email);
    await page.keyboard.press('Enter');
    await page.getByRole('status').waitFor();
    expect(await overflowOf(page)).toBe(0);
    expect((await lastMail(service, ada.email)).link).toContain('/verify-email?token=');
  });
});
