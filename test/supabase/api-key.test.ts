import { expect, test } from 'vitest';
import { browserOf } from '../support/page.ts';
import { ada } from '../support/people.ts';
import { start } from '../support/start.ts';
import { asUser, publishableKey, surfaceOf } from '../support/supabase.ts';

test('a revoked API key is refused as what it is, and the session of the browser does not stand in for it', async () => {
  const service = await start();
  const { as } = await service.welcome({ ...ada, emailVerified: true });
  const { devices } = service.clients('json');
  const { apiKey, secret } = await devices.createApiKey({ name: 'a program' }, as);
  const { request } = surfaceOf(service);
  const read = await request('GET', '/user', { headers: asUser(secret) });
  expect([read.status, read.body.email]).toEqual([200, ada.email]);
  await devices.revokeApiKey({ apiKeyId: apiKey!.id }, as);
  const browser = browserOf(service);
  const { form } = await browser.open('/sign-in');
  await browser.post('/sign-in', { ...form!, email: ada.email, password: ada.password });
  const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const others: Record<string, string>[] = [{}, { cookie }, { cookie, apikey: publishableKey }, { apikey: secret }];
  for (const more of others) {
    const { status, body } = await request('GET', '/user', { headers: { ...asUser(secret), ...more } });
    expect([status, body.error_code, body.msg]).toEqual([401, 'no_authorization', 'The API key is not valid']);
  }
  const page = await browser.open('/devices', { authorization: `Bearer ${secret}` });
  expect(page.heading, 'a page authenticates by its cookie alone').toBe('Your devices');
  const stranger = await browserOf(service).open('/devices', { authorization: `Bearer ${secret}` });
  expect(stranger.heading).toBe('Sign in');
});
