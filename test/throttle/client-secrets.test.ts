import { describe, expect, test } from 'vitest';
import { CallBudgets } from '../../src/throttle/call-budget.ts';
import { ClientSecrets } from '../../src/throttle/client-secrets.ts';
import { ConfiguredLimits } from '../../src/throttle/configured-limits.ts';
import { clientSecret, startOAuth } from '../support/oauth.ts';

describe('the wrong secrets of a client', () => {
  const env = { LIMITS: '*=off,OAuth.ClientSecret=3', TRUSTED_PROXY_HOPS: '1' };
  const open = async () => {
    const { post, service } = await startOAuth({ env, replicas: 2 });
    const start = (secret: string, { from = '203.0.113.1', replica = 0, id = 'build' } = {}) =>
      post(
        '/oauth2/device_authorization',
        { client_id: id, ...(secret && { client_secret: secret }) },
        { headers: { 'x-forwarded-for': from }, replica },
      );
    return { service, start };
  };

  test('are limited for each address, on all replicas together', async () => {
    const { service, start } = await open();
    for (const replica of [0, 1, 0]) expect((await start('wrong', { replica })).status).toBe(401);
    for (const replica of [0, 1]) {
      const refused = await start('wrong', { replica });
      expect([refused.status, refused.body.error]).toEqual([429, 'temporarily_unavailable']);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect((await start(clientSecret, { replica })).status).toBe(429);
    }
    expect((await start(clientSecret, { from: '203.0.113.2' })).status).toBe(200);
    service.pass(61);
    expect((await start(clientSecret)).status).toBe(200);
  });

  test('end the budget of their address on a replica that has counted none of them', async () => {
    const { service, start } = await open();
    for (let i = 0; i < 3; i++) expect((await start('wrong')).status).toBe(401);
    for (const secret of [clientSecret, 'wrong', clientSecret])
      expect((await start(secret, { replica: 1 })).status).toBe(429);
    expect((await start(clientSecret, { replica: 1, from: '203.0.113.2' })).status).toBe(200);
    service.pass(61);
    expect((await start(clientSecret, { replica: 1 })).status).toBe(200);
  });

  test('do not stop a public client of their address', async () => {
    const { start } = await open();
    for (let i = 0; i < 4; i++) await start('wrong', { id: 'nobody' });
    expect((await start('wrong')).status).toBe(429);
    expect((await start('', { id: 'tv' })).status).toBe(200);
  });

  test('are limited at every endpoint that takes a secret', async () => {
    const { post } = await startOAuth({ env: { LIMITS: '*=off,OAuth.ClientSecret=1' } });
    const guess = async (path: string) => (await post(path, { client_id: 'build', client_secret: 'wrong' })).status;
    expect(await guess('/oauth2/token')).toBe(401);
    for (const path of ['token', 'revoke', 'device_authorization']) expect(await guess(`/oauth2/${path}`)).toBe(429);
  });
});

describe('of parallel secrets', () => {
  const wrong = () => {
    throw new Error('wrong');
  };
  const open = (limit: number) => {
    let counts = 0;
    const budgets = new CallBudgets(async (_, hits) => {
      counts += hits;
      await new Promise((resolve) => setImmediate(resolve));
      return { hits: counts, remaining: 60 };
    });
    const secrets = new ClientSecrets(budgets, new ConfiguredLimits({ 'OAuth.ClientSecret': limit }));
    return { secrets, counts: () => counts };
  };

  test('no more are compared than are admitted, the right one included', async () => {
    const { secrets } = open(5);
    const guesses = Array.from({ length: 20 }, (_, i) => secrets.try('203.0.113.1', i === 19 ? () => 'right' : wrong));
    const results = await Promise.allSettled(guesses.map((each) => each.catch((error) => error.message)));
    const seen = results.map((each) => (each.status === 'fulfilled' ? each.value : ''));
    expect(seen.filter((each) => each === 'wrong')).toHaveLength(5);
    expect(seen).not.toContain('right');
  });

  test('right ones are not counted', async () => {
    const { secrets, counts } = open(5);
    await Promise.all(Array.from({ length: 100 }, () => secrets.try('203.0.113.1', () => 'right')));
    expect(counts()).toBe(0);
  });
});
