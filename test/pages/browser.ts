import { existsSync } from 'node:fs';
import path from 'node:path';
import { type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { onTestFinished } from 'vitest';
import type { TestService } from '../support/start.ts';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** The path of a Chromium on this machine. */
export const installedBrowser = (process.env.PATH ?? '')
  .split(path.delimiter)
  .flatMap((folder) => names.map((name) => path.join(folder, name)))
  .find((file) => existsSync(file));

// Browsers have passkeys on localhost without TLS.
const sites = ['gatehouse.test', 'localhost'];

/** The size of a small phone. */
const viewport = { width: 360, height: 640 };

/**
 * Opens a browser on a telephone's screen that finds the service under its PUBLIC_URL, so that links can be followed as
 * they stand in the mail. What the page itself was kept from doing ends the test.
 */
export async function openBrowser({ replicas }: TestService, options: BrowserContextOptions = {}): Promise<Page> {
  const browser = await chromium.launch({
    executablePath: installedBrowser!,
    args: [
      '--no-sandbox',
      `--host-resolver-rules=${sites.map((site) => `MAP ${site}:80 127.0.0.1:${replicas[0]!.httpPort}`).join(',')}`,
    ],
  });
  onTestFinished(() => browser.close());
  const context = await browser.newContext({ viewport, locale: 'en-GB', ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  onTestFinished(() => {
    // The response to a refused form has an error status, which browsers report.
    const severe = complaints.filter((each) => !/^Failed to load resource: .*status of 4\d\d/.test(each));
    if (severe.length > 0) throw new Error(`the browser complains: ${severe.join('\n')}`);
  });
  return page;
}

/** Types into the field that has the focus. A browser gives a page's first field its focus some time after the load. */
export async function typeIntoFocus(page: Page, text: string): Promise<void> {
  await page.locator('input:focus').waitFor();
  await page.keyboard.type(text);
}

/** The focused element as `tag#id`. */
export async function focusOf(page: Page): Promise<string> {
  await page.locator(':focus').waitFor();
  return page.evaluate('document.activeElement.tagName.toLowerCase() + "#" + document.activeElement.id');
}

/** The pixels by which the page is wider than the screen. */
export function overflowOf(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}

/** The contrast of an element's text with its background (WCAG 2.2, 1.4.3). */
export async function contrastOf(page: Page, selector: string): Promise<number> {
  const colors: string[] = await page.locator(selector).evaluate((element) => {
    const { getComputedStyle } = globalThis as never as { getComputedStyle(of: unknown): Record<string, string> };
    const back = (of: typeof element): string => {
      const color = getComputedStyle(of).backgroundColor!;
      return color === 'rgba(0, 0, 0, 0)' && of.parentElement ? back(of.parentElement) : color;
    };
    return [getComputedStyle(element).color!, back(element)];
  });
  const [light, dark] = colors.map(luminanceOf).toSorted((a, b) => b - a) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

function luminanceOf(color: string): number {
  const [red, green, blue] = [...color.matchAll(/\d+/g)]
    .map(([digits]) => Number(digits) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
