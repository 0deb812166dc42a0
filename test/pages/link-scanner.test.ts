import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { lastMail } from '../support/inbox.ts';
import { registered } from '../support/page.ts';
import { ada } from '../support/people.ts';
import { start } from '../support/start.ts';
import { installedBrowser, openBrowser } from './browser.ts';

if (!installedBrowser) console.warn('NOT TRIED: scanners of links, because there is no Chromium on this machine');

describe.runIf(installedBrowser)('a scanner that opens links in a browser', { timeout: 90_000 }, () => {
  test('uses none of them while it presses no button, however long it stays', async () => {
    const { service } = await registered();
    const { auth } = service.clients('json');
    const verification = await lastMail(service, ada.email);
    await auth.requestPasswordReset({ email: ada.email });
    const reset = await lastMail(service, ada.email);
    await auth.requestMagicLink({ email: ada.email });
    const magic = await lastMail(service, ada.email);
    const page = await openBrowser(service);
    for (const { link } of [verification, reset, magic]) {
      await page.goto(link, { waitUntil: 'networkidle' });
      await sleep(3000);
      expect(page.url()).toBe(link);
    }
    await auth.verifyEmail({ token: verification.token });
    await auth.signInWithMagicLink({ token: magic.token });
    await auth.resetPassword({ token: reset.token, newPassword: 'notes on the engine' });
  });

  test('that presses the first button verifies the address, and the page explains it to the reader', async () => {
    const { service } = await registered();
    const { link } = await lastMail(service, ada.email);
    const scanner = await openBrowser(service);
    await scanner.goto(link);
    await scanner.getByRole('button').first().click();
    await scanner.getByRole('heading', { name: 'Your address is verified' }).waitFor();
    const reader = await openBrowser(service);
    await reader.goto(link);
    await reader.getByRole('button').first().click();
    await reader.getByRole('heading', { name: 'Your address is already verified' }).waitFor();
  });

  test('that presses the first button of a reset sets no password, and leaves the link usable', async () => {
    const service = await start();
    await service.welcome();
    const { auth } = service.clients('json');
    await auth.requestPasswordReset({ email: ada.email });
    const { link, token } = await lastMail(service, ada.email);
    const page = await openBrowser(service);
    await page.goto(link);
    await page.getByRole('button').first().click();
    await sleep(1000);
    await service.signIn();
    await auth.resetPassword({ token, newPassword: 'notes on the engine' });
  });
});
