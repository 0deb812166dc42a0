import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { ada } from '../support/people.ts';
import { start } from '../support/start.ts';
import { installedBrowser, openBrowser, overflowOf, typeIntoFocus } from './browser.ts';

if (!installedBrowser)
  console.warn('NOT TRIED: the pages of security keys, because there is no Chromium on this machine');

const site = 'http://localhost';

/** Ada, and a browser with a security key that has no PIN. */
async function prepare(locale: string) {
  const service = await start({ env: { PUBLIC_URL: site } });
  await service.welcome({ ...ada, emailVerified: true });
  const page = await openBrowser(service, { locale, viewport: { width: 375, height: 667 } });
  const session = await page.context().newCDPSession(page);
  await session.send('WebAuthn.enable', { enableUI: false });
  const options = { protocol: 'ctap2', transport: 'usb', hasResidentKey: false, hasUserVerification: false } as const;
  await session.send('WebAuthn.addVirtualAuthenticator', {
    options: { ...options, automaticPresenceSimulation: true },
  });
  return { service, page };
}

/** Presses Tab until the focus is on what has this text. */
async function tabTo(page: Page, label: string): Promise<void> {
  for (let presses = 0; presses < 40; presses += 1) {
    // Past the last one, the focus is on the whole page.
    const text = await page.evaluate(`[document.activeElement].map((each) => each === document.body ? '' :
      [each.getAttribute('aria-label'), each.name, each.textContent].join(' '))[0]`);
    if (String(text).includes(label)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`no key press reaches ${label}`);
}

async function enterPassword(page: Page, path: string) {
  await page.goto(`${site}${path}`);
  await typeIntoFocus(page, ada.email);
  await page.keyboard.press('Tab');
  await typeIntoFocus(page, ada.password);
  await page.keyboard.press('Enter');
}

function heading(page: Page, name: string) {
  return page.getByRole('heading', { name, exact: true, level: 1 }).waitFor();
}

async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}

const english = {
  locale: 'en-GB',
  factors: 'Second factors',
  nameIt: 'Security key',
  add: 'Add the key',
  adding: 'Add a security key',
  use: 'Use the key',
  remove: 'Remove: ',
  prompt: 'Confirm that it is you',
  go: 'Continue',
  devices: 'Your devices',
  trusted: 'Trusted devices',
  trust: 'Do not ask again on this device for 30 days',
  revoke: 'Do not trust: ',
  signOut: 'Sign out',
  removal: 'Remove the factor “blue key”',
  none: 'You have no second factor.',
};

const german: typeof english = {
  locale: 'de-DE',
  factors: 'Zweite Faktoren',
  nameIt: 'Sicherheitsschlüssel',
  add: 'Schlüssel hinzufügen',
  adding: 'Sicherheitsschlüssel hinzufügen',
  use: 'Schlüssel verwenden',
  remove: 'Entfernen: ',
  prompt: 'Bestätigen Sie, dass Sie es sind',
  go: 'Weiter',
  devices: 'Ihre Geräte',
  trusted: 'Vertraute Geräte',
  trust: 'Auf diesem Gerät 30 Tage lang nicht mehr fragen',
  revoke: 'Nicht mehr vertrauen: ',
  signOut: 'Abmelden',
  removal: 'Den Faktor „blue key“ entfernen',
  none: 'Sie haben keinen zweiten Faktor.',
};

async function addKey(page: Page, words: typeof english, name: string) {
  await heading(page, words.factors);
  await tabTo(page, 'key_name');
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.type(name);
  await tabTo(page, words.add);
  await page.keyboard.press('Enter');
  await heading(page, words.adding);
  expect(await overflowOf(page)).toBe(0);
  await shoot(page, `security-key-${words.locale}`);
  await tabTo(page, words.use);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: `${words.remove}${name}` }).waitFor();
}

async function signInAgain(page: Page, words: typeof english): Promise<void> {
  await page.goto(`${site}/sign-out`);
  await tabTo(page, words.signOut);
  await page.keyboard.press('Enter');
  await page.locator('#email').waitFor();
  await enterPassword(page, '/sign-in?next=%2Fdevices');
}

describe.runIf(installedBrowser)('in a browser', { timeout: 120_000 }, () => {
  test.each([english, german])(
    'a security key is added, trusts the device and is removed, by keyboard alone: $locale',
    async (words) => {
      const { service, page } = await prepare(words.locale);
      await enterPassword(page, '/factors');
      await addKey(page, words, 'blue key');
      await shoot(page, `security-keys-${words.locale}`);
      expect(await overflowOf(page)).toBe(0);
      await signInAgain(page, words);
      await heading(page, words.prompt);
      await page.getByLabel(words.trust).waitFor();
      await shoot(page, `trust-${words.locale}`);
      await tabTo(page, 'trust');
      await page.keyboard.press('Space');
      await tabTo(page, words.go);
      await page.keyboard.press('Enter');
      await heading(page, words.devices);
      await page.getByRole('heading', { name: words.trusted }).waitFor();
      await shoot(page, `trusted-devices-${words.locale}`);
      expect(await overflowOf(page)).toBe(0);
      await signInAgain(page, words);
      await heading(page, words.devices);
      await tabTo(page, words.revoke);
      await page.keyboard.press('Enter');
      await heading(page, words.prompt);
      await tabTo(page, words.go);
      await page.keyboard.press('Enter');
      await heading(page, words.devices);
      // The removal needs the key itself once more.
      service.pass(700);
      await page.goto(`${site}/factors`);
      await tabTo(page, `${words.remove}blue key`);
      await page.keyboard.press('Enter');
      await heading(page, words.prompt);
      await page.getByText(words.removal).waitFor();
      await shoot(page, `security-key-action-${words.locale}`);
      await tabTo(page, words.go);
      await page.keyboard.press('Enter');
      await page.getByText(words.none).waitFor();
    },
  );
});
