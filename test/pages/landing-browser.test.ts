import { describe, expect, test } from 'vitest';
import { lastMail } from '../support/inbox.ts';
import { registered } from '../support/page.ts';
import { ada } from '../support/people.ts';
import { start } from '../support/start.ts';
import { contrastOf, focusOf, installedBrowser, openBrowser, overflowOf, typeIntoFocus } from './browser.ts';

if (!installedBrowser)
  console.warn('NOT TRIED: landing pages in a browser, because there is no Chromium on this machine');

async function forgotten() {
  const service = await start();
  await service.welcome();
  await service.clients('json').auth.requestPasswordReset({ email: ada.email });
  return { service, ...(await lastMail(service, ada.email)) };
}

// A browser starts slowly on a busy machine.
describe.runIf(installedBrowser)('in a browser, by keyboard alone, on a small screen', { timeout: 60_000 }, () => {
  test('an address is verified, and the token is in no referrer', async () => {
    const { service } = await registered();
    const { link, token } = await lastMail(service, ada.email);
    const page = await openBrowser(service);
    const sent: Record<string, string>[] = [];
    page.on('request', async (request) => sent.push({ method: request.method(), ...(await request.allHeaders()) }));
    await page.goto(link);
    expect(await page.getByRole('heading', { level: 1 }).allTextContents()).toEqual(['Verify your e-mail address']);
    expect(await overflowOf(page)).toBe(0);
    await page.keyboard.press('Tab');
    expect(await focusOf(page)).toBe('button#');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Your address is verified' }).waitFor();
    expect(page.url()).toBe('http://gatehouse.test/verify-email');
    // Without TLS browsers send no Sec-Fetch-Site.
    expect(sent.map(({ method, origin, 'sec-fetch-site': site }) => [method, origin, site])).toEqual([
      ['GET', undefined, undefined],
      ['POST', 'http://gatehouse.test', undefined],
    ]);
    expect(sent.map(({ referer = '' }) => referer).join()).not.toContain(token);
    const { as } = await service.signIn();
    expect((await service.clients('json').auth.getMe({}, as)).user!.emailVerified).toBe(true);
  });

  test('a password is reset; a refused one is reported, and the next can be typed immediately', async () => {
    const { service, link } = await forgotten();
    const page = await openBrowser(service);
    await page.goto(link);
    const field = page.getByLabel('New password');
    expect(await focusOf(page)).toBe('input#password');
    expect(await field.getAttribute('autocomplete')).toBe('new-password');
    expect(await page.getByLabel('E-mail address').inputValue()).toBe(ada.email);
    const size: string = await page.evaluate('getComputedStyle(document.activeElement).fontSize');
    expect(Number.parseFloat(size)).toBeGreaterThanOrEqual(16);
    await typeIntoFocus(page, 'password');
    await page.keyboard.press('Enter');
    expect(await page.getByRole('alert').textContent()).toContain('many people use');
    expect(await page.title()).toBe('Error: Choose a new password – gatehouse.test');
    expect(await focusOf(page)).toBe('input#password');
    expect(await field.getAttribute('aria-invalid')).toBe('true');
    expect(await field.getAttribute('aria-describedby')).toBe('hint problem');
    expect([await field.inputValue(), await overflowOf(page)]).toEqual(['', 0]);
    await typeIntoFocus(page, 'notes on the engine');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Your new password is saved' }).waitFor();
    expect(await page.getByRole('status').textContent()).toContain('sign in');
    await service.signIn({ ...ada, password: 'notes on the engine' });
  });

  test.each(['light', 'dark'] as const)(
    'pages are legible in %s mode, with long words and large letters',
    async (colorScheme) => {
      const { service, link } = await forgotten();
      const page = await openBrowser(service, { colorScheme, locale: 'de-AT' });
      await page.goto(link);
      await typeIntoFocus(page, 'password');
      await page.keyboard.press('Enter');
      await page.getByRole('alert').waitFor();
      for (const part of ['header', 'h1', 'label >> nth=0', '#account', '#password', '.hint', '.alert p', 'button'])
        expect(await contrastOf(page, part), part).toBeGreaterThanOrEqual(4.5);
      const background: string = await page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
      expect(background).toBe(colorScheme === 'dark' ? 'rgb(16, 19, 23)' : 'rgb(244, 245, 247)');
      expect(await page.evaluate('document.documentElement.lang')).toBe('de');
      expect(await page.getByRole('main').count()).toBe(1);
      await page.setViewportSize({ width: 320, height: 480 });
      expect(await overflowOf(page)).toBe(0);
    },
  );

  test('a form of the service is same-origin, and a form of another site is refused', async () => {
    const { service } = await registered();
    const { token } = await lastMail(service, ada.email);
    const page = await openBrowser(service);
    const base = `http://127.0.0.1:${service.replicas[0]!.httpPort}/verify-email`;
    await page.setContent(
      `<form method="post" action="${base}"><input name="token" value="${token}"><button>Go</button></form>`,
    );
    await page.keyboard.press('Tab');
    const [refused] = await Promise.all([page.waitForResponse(base), page.keyboard.press('Enter')]);
    expect(refused.status()).toBe(403);
    await page.getByRole('heading', { name: 'This came from another page' }).waitFor();
    await page.goto(`${base}?token=${token}`);
    await page.keyboard.press('Tab');
    const [answer] = await Promise.all([page.waitForResponse(base), page.keyboard.press('Enter')]);
    expect([answer.status(), answer.request().method()]).toEqual([200, 'POST']);
    expect((await answer.request().allHeaders())['sec-fetch-site']).toBe('same-origin');
  });
});
