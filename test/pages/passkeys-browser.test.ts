import type { CDPSession, Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { useApp } from '../support/authenticator.ts';
import { ada } from '../support/people.ts';
import { start } from '../support/start.ts';
import { installedBrowser, openBrowser, overflowOf } from './browser.ts';

if (!installedBrowser) console.warn('NOT TRIED: the pages of passkeys, because there is no Chromium on this machine');

const site = 'http://localhost';

/** Ada, and a browser with an authenticator that verifies its user. */
async function prepare() {
  const service = await start({ env: { PUBLIC_URL: site } });
  const { as } = await service.welcome({ ...ada, emailVerified: true });
  const page = await openBrowser(service, { viewport: { width: 375, height: 667 } });
  const session = await page.context().newCDPSession(page);
  await session.send('WebAuthn.enable', { enableUI: false });
  const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: false,
    },
  });
  const touch = (enabled: boolean) =>
    session.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled });
  return { service, as, page, session, authenticatorId, touch };
}

async function enterPassword(page: Page, next = '/devices') {
  await page.goto(`${site}/sign-in?next=${encodeURIComponent(next)}`);
  await page.locator('#email').fill(ada.email);
  await page.locator('#password').fill(ada.password);
  await page.locator('#password').press('Enter');
}

async function signOut(page: Page) {
  await page.goto(`${site}/sign-out`);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in', exact: true }).waitFor();
}

async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}

async function addPasskey(page: Page, touch: (enabled: boolean) => Promise<unknown>, name: string) {
  await page.goto(`${site}/factors`);
  await page.getByRole('button', { name: 'Add a passkey' }).click();
  await page.getByLabel('Name').fill(name);
  await shoot(page, 'passkey-registration');
  await touch(true);
  await page.getByRole('button', { name: 'Create the passkey' }).click();
  await page.getByRole('button', { name: `Remove: ${name}` }).waitFor();
  await touch(false);
}

async function credentialsOf(session: CDPSession, authenticatorId: string): Promise<number> {
  return (await session.send('WebAuthn.getCredentials', { authenticatorId })).credentials.length;
}

describe.runIf(installedBrowser)('in a browser', { timeout: 120_000 }, () => {
  test('a passkey is offered once, added, renamed, used by a button and by autofill, and removed', async () => {
    const { page, touch, session, authenticatorId } = await prepare();
    await enterPassword(page);
    await page.getByText('Sign in without a password next time').waitFor();
    await shoot(page, 'passkey-offer');
    await page.reload();
    expect(await page.getByText('Sign in without a password next time').count()).toBe(0);
    await addPasskey(page, touch, 'laptop');
    await shoot(page, 'passkeys');
    expect(await overflowOf(page)).toBe(0);
    await page.getByLabel('Name of the passkey: laptop').fill('old laptop');
    await page.getByRole('button', { name: 'Rename: laptop' }).click();
    await page.getByRole('button', { name: 'Remove: old laptop' }).waitFor();
    // The autofill of an authenticator that is touched by itself needs no click.
    await touch(true);
    await page.goto(`${site}/sign-out`);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Your devices' }).waitFor();
    await touch(false);
    await signOut(page);
    await shoot(page, 'passkey-sign-in');
    const button = page.getByRole('button', { name: 'Sign in with a passkey' });
    await touch(true);
    await button.click();
    await page.getByRole('heading', { name: 'Your devices' }).waitFor();
    await page.goto(`${site}/factors`);
    await page.getByRole('button', { name: 'Remove: old laptop' }).click();
    await page.getByText('Add a passkey').waitFor();
    await expect.poll(() => credentialsOf(session, authenticatorId), { timeout: 10_000 }).toBe(0);
  });

  test('a passkey is chosen on a page that stayed open longer than its challenge lived', async () => {
    const { service, page, touch } = await prepare();
    await enterPassword(page);
    await addPasskey(page, touch, 'laptop');
    await signOut(page);
    service.pass(400);
    await page.evaluate('document.querySelector("form[data-ceremony]").dataset.expires = "0"');
    await touch(true);
    await page
      .getByRole('button', { name: 'Sign in with a passkey' })
      .click({ noWaitAfter: true })
      .catch(() => {});
    await page.getByRole('heading', { name: 'Your devices' }).waitFor();
    expect(await page.getByRole('alert').count()).toBe(0);
  });

  test('a tab that was frozen for longer than its challenge lived signs in by autofill, after one silent new request', async () => {
    const { service, page, session, touch } = await prepare();
    await page.clock.install();
    await enterPassword(page);
    await addPasskey(page, touch, 'laptop');
    await signOut(page);
    const requests: string[] = [];
    page.on('request', (request) => requests.push(`${request.method()} ${new URL(request.url()).pathname}`));
    await session.send('Page.enable');
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    const slept = 400;
    service.pass(slept);
    await page.clock.setSystemTime(Date.now() + slept * 1000);
    // The virtual authenticator is touched for requests that begin from now on: not for the one of the expired challenge.
    await touch(true);
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    await page.clock.runFor(6000);
    await page.getByRole('heading', { name: 'Your devices' }).waitFor();
    expect(requests.slice(0, 2), 'new options, then the sign-in').toEqual(['GET /sign-in', 'POST /sign-in']);
    expect(await page.getByRole('alert').count()).toBe(0);
    const [row] = await service.database.query<{ count: number }>(
      "select count(*)::int from challenges where purpose = 'passkey_sign_in'",
    );
    expect(row!.count, 'only the challenge that was used is stored').toBe(1);
  });

  test('a device that has a passkey already is named as such, and a cancelled ceremony can be repeated', async () => {
    const { page, touch, session, authenticatorId } = await prepare();
    await enterPassword(page);
    await addPasskey(page, touch, 'laptop');
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await touch(true);
    const create = page.getByRole('button', { name: 'Create the passkey' });
    await create.click();
    await page.getByText('This device has a passkey of your account already.').waitFor();
    await session.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId });
    await page.evaluate(
      'navigator.credentials.create = () => Promise.reject(new DOMException("x", "NotAllowedError"))',
    );
    await create.click();
    await page.getByText('That did not work, or was cancelled.').waitFor();
    expect(await page.getByRole('alert').count(), 'in place of the one before').toBe(1);
  });

  test('a browser that brings a passkey which was removed elsewhere forgets it', async () => {
    const { service, page, session, authenticatorId, touch } = await prepare();
    await enterPassword(page);
    await addPasskey(page, touch, 'laptop');
    await signOut(page);
    await service.database.query("delete from factors where type = 'passkey'");
    await touch(true);
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    await page.getByText('This passkey was removed from the account.').waitFor();
    await expect.poll(() => credentialsOf(session, authenticatorId), { timeout: 10_000 }).toBe(0);
  });

  test('a passkey is a second factor at the prompt', async () => {
    const { service, as, page, touch } = await prepare();
    await enterPassword(page);
    await addPasskey(page, touch, 'laptop');
    await useApp(service.clients('grpc'), as, service.now());
    await page.context().clearCookies();
    await enterPassword(page);
    await page.getByRole('link', { name: 'Use the passkey “laptop”' }).click();
    await shoot(page, 'passkey-prompt');
    await touch(true);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('heading', { name: 'Your devices' }).waitFor();
  });
});
