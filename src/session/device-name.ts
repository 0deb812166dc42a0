import Bowser from 'bowser';

const names = new Map<string, string>();
const rememberedAtMost = 1000;

/** "Firefox on Linux" for a browser, the product name for other programs. */
export function deviceName(userAgent: string): string {
  const known = names.get(userAgent);
  if (known !== undefined) return known;
  // A few programs make most calls, and parsing a user agent costs a third of reading the session.
  if (names.size >= rememberedAtMost) names.clear();
  const name = describeProgram(userAgent);
  names.set(userAgent, name);
  return name;
}

function describeProgram(userAgent: string): string {
  if (!userAgent) return '';
  const { browser, os } = Bowser.parse(userAgent);
  if (browser.name && os.name) return `${browser.name} on ${os.name}`;
  return browser.name || os.name || (userAgent.split(/[\s/]/, 1)[0] ?? '');
}
