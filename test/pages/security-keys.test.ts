import { expect, test } from 'vitest';
import { formOf, signInWithApp, submit, withFactor } from '../support/factor-pages.ts';
import { browserOf } from '../support/page.ts';
import { ada } from '../support/people.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { start, type TestService } from '../support/start.ts';

async function onFactors() {
  const service = await start();
  await service.welcome({ ...ada, emailVerified: true });
  const browser = browserOf(service);
  const { form } = await browser.open('/sign-in?next=%2Ffactors');
  return { service, browser, page: await browser.post('/sign-in', { ...form!, ...ada }) };
}

/** The options of the form that an authenticator completes. */
function optionsOf(text: string) {
  const options = /data-ceremony="create" data-options="([^"]*)"/.exec(text)?.[1];
  return options === undefined ? undefined : JSON.parse(options.replaceAll('&quot;', '"'));
}

async function keysOf({ database }: TestService) {
  return database.query<{ friendly_name: string; verified: boolean }>(
    "select friendly_name, verified_at is not null as verified from factors where type = 'webauthn' order by id",
  );
}

test('a security key is added with a name, and removed', async () => {
  const { service, browser, page } = await onFactors();
  const shown = await submit(browser, page.text, ['do', 'enroll-key'], { key_name: ' blue key ' });
  const at = browser.at;
  expect(shown.heading).toBe('Add a security key');
  expect(optionsOf(shown.text), 'opening the page begins no challenge').toBeUndefined();
  expect(await service.database.query('select id from challenges')).toEqual([]);
  const begun = await submit(browser, shown.text, ['do', 'verify-key'], { start: '1' });
  const credential = new SoftwareAuthenticator({ verifiesUser: false }).create(optionsOf(begun.text));
  const done = await submit(browser, begun.text, ['do', 'verify-key'], { credential: JSON.stringify(credential) });
  expect([done.heading, browser.at]).toEqual(['Second factors', '/factors']);
  expect(done.text).toContain('blue key');
  expect(done.text).toContain('Security key · ');
  expect(await keysOf(service)).toEqual([{ friendly_name: 'blue key', verified: true }]);
  await browser.open(at);
  expect(browser.at, 'Back, to a key that was added').toBe('/factors');
  const removed = await submit(browser, done.text, ['do', 'remove']);
  expect(removed.text).toContain('You have no second factor.');
});

test('Back and the same form again add the same key, and a refused response can be repeated', async () => {
  const { service, browser, page } = await onFactors();
  const first = await submit(browser, page.text, ['do', 'enroll-key'], { key_name: 'blue' });
  const at = browser.at;
  await submit(browser, page.text, ['do', 'enroll-key'], { key_name: 'blue' });
  expect(browser.at).toBe(at);
  expect(await keysOf(service)).toHaveLength(1);
  const { path, fields } = formOf(first.text, 'do', 'verify-key');
  const begun = await browser.post(path, { ...fields, start: '1' });
  const other = optionsOf((await browser.post(path, { ...fields, start: '1' })).text);
  const wrong = JSON.stringify(new SoftwareAuthenticator().create(other));
  const refused = await submit(browser, begun.text, ['do', 'verify-key'], { credential: wrong });
  expect(refused).toMatchObject({ status: 400, alert: 'The key was not accepted. Try again.' });
  expect((await browser.open('/factors?key=no-such-key')).heading).toBe('Second factors');
  expect(browser.at).toBe('/factors');
});

test('a key with the name of another factor is refused, and a stale session is asked for its factor first', async () => {
  const prepared = await withFactor();
  const { service, browser } = prepared;
  const page = await signInWithApp(prepared, '/factors');
  const refused = await submit(browser, page.text, ['do', 'enroll-key'], { key_name: 'phone' });
  expect(refused.alert).toContain('with this name');
  service.pass(700);
  const prompt = await submit(browser, refused.text, ['do', 'enroll-key'], { key_name: 'blue' });
  expect(prompt.text).toContain('Add the security key “blue”');
  expect(await keysOf(service)).toEqual([]);
});
