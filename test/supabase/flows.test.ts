import { describe, test } from 'vitest';
import { installedBrowser } from '../pages/browser.ts';
import { openPages } from '../support/supabase-page.ts';
import { openProgram } from '../support/supabase-program.ts';
import { mailedFlows } from './flows/mailed.ts';
import { passwordFlows } from './flows/password.ts';
import { sessionFlows } from './flows/sessions.ts';
import { signUpFlows } from './flows/sign-up.ts';

if (!installedBrowser) console.warn('NOT TRIED: flows of auth-js in Chromium, because no Chromium is installed here');

const flows = Object.entries({ ...signUpFlows, ...mailedFlows, ...passwordFlows, ...sessionFlows }).flatMap(
  ([name, { flowTypes = ['implicit'] as const, ...flow }]) =>
    flowTypes.map((flowType) => ({ name: `${name} (${flowType})`, flowType, ...flow })),
);

describe('auth-js in Node', () => {
  test.each(flows)('$name', async ({ run, ...options }) => run(await openProgram(options)));
});

describe.runIf(installedBrowser)('auth-js in Chromium', { timeout: 120_000 }, () => {
  test.each(flows)('$name', async ({ run, ...options }) => run(await openPages(options)));
});
