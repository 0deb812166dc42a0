import { describe, expect, test } from 'vitest';
import { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { ada } from '../support/people.ts';
import { start } from '../support/start.ts';
import { contrastOf, focusOf, installedBrowser, openBrowser, overflowOf, typeIntoFocus } from './browser.ts';

if (!installedBrowser)
  console.warn('NOT TRIED: the pages that sign in, in a browser, because there is no Chromium on this machine');

async function started() {
  const service = await start();
  await service.welcome({ ...ada, emailVerified: true });
  const { devices } = service.clients('grpc');
  const login = await devices.startCliLogin({ clientName: 'Engine CLI' });
  return { service, link: login.loginUrl, poll: () => devices.pollCliLogin({ pollingCode: login.pollingCode }) };
}

// A browser starts slowly on a busy machine.
describe.runIf(installedBrowser)('in a browser', { timeout: 90_000 }, () => {
  test.each([{ javaScriptEnabled: true }, { javaScriptEnabled: false }])(
    'a login is approved by keyboard alone: %o',
    async (options) => {
      const { service, link, poll } = await started();
      const page = await openBrowser(service, { ...options, viewport: { width: 375, height: 667 } });
      await page.goto(link);
      await page.getByRole('heading', { name: 'Sign in', exact: true }).waitFor();
      await typeIntoFocus(page, ada.email);
      await page.keyboard.press('Tab');
      await typeIntoFocus(page, ada.password);
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Approve' }).waitFor();
      if (options.javaScriptEnabled) expect(await overflowOf(page)).toBe(0);
      const [approve, deny] = await Promise.all(
        ['Approve', 'Deny'].map((name) => page.getByRole('button', { name }).boundingBox()),
      );
      expect([approve!.width, approve!.height]).toEqual([deny!.width, deny!.height]);
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Approved' }).waitFor();
      expect((await poll()).state).toBe(LoginState.APPROVED);
    },
  );

  test('a password is shown while its button is pressed, and sent hidden', async () => {
    const { service } = await started();
    const page = await openBrowser(service);
    await page.goto('http://gatehouse.test/sign-in');
    await page.getByLabel('Password', { exact: true }).fill(ada.password);
    const button = page.getByRole('button', { name: 'Show password' });
    expect(await button.getAttribute('aria-pressed')).toBe('false');
    await button.click();
    expect(await page.locator('#password').getAttribute('type')).toBe('text');
    expect(await button.getAttribute('aria-pressed')).toBe('true');
    await button.click();
    expect(await page.locator('#password').getAttribute('type')).toBe('password');
  });

  test.each(['light', 'dark'] as const)('the pages are legible and narrow in %s mode', async (colorScheme) => {
    const { service, link } = await started();
    const page = await openBrowser(service, { colorScheme, locale: 'de-AT', viewport: { width: 320, height: 640 } });
    const check = async (...parts: string[]) => {
      expect(await overflowOf(page), page.url()).toBe(0);
      for (const part of parts) expect(await contrastOf(page, part), part).toBeGreaterThanOrEqual(4.5);
    };
    for (const path of ['register', 'forgot-password', 'device', 'sign-in']) {
      await page.goto(`http://gatehouse.test/${path}`);
      await check('h1', 'label >> nth=0', 'button >> nth=0', 'a >> nth=0'.replace('a', path === 'device' ? 'p' : 'a'));
    }
    expect(await focusOf(page)).toBe('input#email');
    await page.locator('#email').fill(ada.email);
    await page.locator('#password').fill(ada.password);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Ihre Geräte' }).waitFor();
    await check('.tag', '.hint >> nth=0', '.quiet >> nth=0');
    await page.goto(link);
    await check('dt >> nth=0', '.number', '.choice button >> nth=1');
  });
});
