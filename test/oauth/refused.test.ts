import { expect, test } from 'vitest';
import { clientSecret, deviceGrant, startOAuth } from '../support/oauth.ts';
import { startProxy } from '../support/proxy.ts';

type Form = Record<string, string> | [string, string][] | string;

const grant = { grant_type: deviceGrant, client_id: 'tv', device_code: 'x' };
const build = { ...grant, client_id: 'build' };
const basic = { authorization: `Basic ${Buffer.from(`build:${encodeURIComponent(clientSecret)}`).toString('base64')}` };
const json = { 'content-type': 'application/json' };
const refresh = { grant_type: 'refresh_token', client_id: 'tv', refresh_token: 'x' };

test.each<[what: string, form: Form, status: number, error: string, headers?: Record<string, string>]>([
  ['an unknown grant type', { ...grant, grant_type: 'password' }, 400, 'unsupported_grant_type'],
  ['no grant type', { client_id: 'tv' }, 400, 'invalid_request'],
  ['no client', { grant_type: deviceGrant, device_code: 'x' }, 400, 'invalid_request'],
  ['an unknown client', { ...grant, client_id: 'nobody' }, 401, 'invalid_client'],
  ['a confidential client without its secret', build, 401, 'invalid_client'],
  ['a wrong secret', { ...build, client_secret: 'x' }, 401, 'invalid_client'],
  ['a secret of a public client', { ...grant, client_secret: 'x' }, 401, 'invalid_client'],
  ['two credentials', { ...build, client_secret: clientSecret }, 400, 'invalid_request', basic],
  ['another kind of credential', grant, 401, 'invalid_client', { authorization: 'Bearer x' }],
  ['no device code', { grant_type: deviceGrant, client_id: 'tv' }, 400, 'invalid_request'],
  ['an empty device code', { ...grant, device_code: '' }, 400, 'invalid_request'],
  ['a parameter twice', [...Object.entries(grant), ['device_code', 'y']], 400, 'invalid_request'],
  ['a scope that no session has', { ...refresh, scope: 'admin' }, 400, 'invalid_scope'],
  ['JSON', JSON.stringify(grant), 400, 'invalid_request', json],
  ['a megabyte', `x=${'y'.repeat(1_000_000)}`, 413, 'invalid_request'],
])('a request with %s is refused as OAuth has it', async (_, form, status, error, headers) => {
  const { post } = await startOAuth();
  const refused = await post('/oauth2/token', form, headers ? { headers } : {});
  expect([refused.status, refused.body.error]).toEqual([status, error]);
  expect(refused.headers.get('cache-control')).toBe('no-store');
  expect(refused.headers.get('content-type')).toBe('application/json');
});

/** What the endpoints need beside a client. The tokens are unknown, which an error of its own says. */
const rest = 'token=x&grant_type=refresh_token&refresh_token=x';
const endpoints = ['/oauth2/device_authorization', '/oauth2/token', '/oauth2/revoke', '/oauth2/introspect'];

test.each(endpoints)('%s refuses every request that it cannot read in the shape of OAuth', async (path) => {
  const { post, urlOf } = await startOAuth();
  const unreadable: [what: string, form: Form, headers: Record<string, string>, status: number, error: string][] = [
    ['nothing', '', {}, path === '/oauth2/introspect' ? 401 : 400, ''],
    ['JSON', '{"client_id":"tv","token":"x"}', json, 400, 'invalid_request'],
    ['no form', `client_id=tv&${rest}`, { 'content-type': 'text/plain' }, 400, 'invalid_request'],
    ['a megabyte', `client_id=tv&${rest}${'y'.repeat(1_000_000)}`, {}, 413, 'invalid_request'],
    ['a client twice', `client_id=tv&client_id=other&${rest}`, {}, 400, 'invalid_request'],
    ['an unknown client', `client_id=nobody&${rest}`, {}, 401, 'invalid_client'],
    ['bytes that are no text', 'client_id=%ff%fe&token=%00', {}, 401, 'invalid_client'],
  ];
  for (const [what, form, headers, status, error] of unreadable) {
    const refused = await post(path, form, { headers });
    expect([what, refused.status, typeof refused.body.error]).toEqual([what, status, 'string']);
    if (error) expect([what, refused.body.error]).toEqual([what, error]);
    expect(Object.keys(refused.body).filter((each) => !/^error(_description|_uri)?$/.test(each))).toEqual([]);
    expect([refused.headers.get('cache-control'), refused.headers.get('content-type')]).toEqual([
      'no-store',
      'application/json',
    ]);
  }
  const got = await fetch(urlOf(path));
  expect(got.status).toBe(405);
  expect(await got.json()).toMatchObject({ error: 'invalid_request' });
});

test('a device may ask for the scopes of OpenID Connect, and is refused any other', async () => {
  const { post } = await startOAuth();
  const ask = (scope: string) => post('/oauth2/device_authorization', { client_id: 'tv', scope });
  expect(await ask('admin')).toMatchObject({ status: 400, body: { error: 'invalid_scope' } });
  expect((await ask('openid offline_access')).status).toBe(200);
});

test('a request with another method than POST is refused', async () => {
  const { urlOf } = await startOAuth();
  const refused = await fetch(urlOf('/oauth2/token'));
  expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'POST']);
  expect(await refused.json()).toMatchObject({ error: 'invalid_request' });
});

test.each<[where: string, form: Record<string, string>, headers: Record<string, string>]>([
  ['in a header', {}, basic],
  ['in the form', { client_id: 'build', client_secret: clientSecret }, {}],
])('a confidential client authenticates %s', async (_, form, headers) => {
  const { post } = await startOAuth();
  expect((await post('/oauth2/device_authorization', form, { headers })).status).toBe(200);
});

test('over the limit of an address a request is refused for now, and a poll is slowed down', async () => {
  const LIMITS = '*=off,DeviceService.RequestDeviceCode=1,DeviceService.PollDeviceToken=1';
  const { authorize, redeem, post } = await startOAuth({ env: { LIMITS } });
  const { device_code } = await authorize();
  const refused = await post('/oauth2/device_authorization', { client_id: 'tv' });
  expect([refused.status, refused.body.error]).toEqual([429, 'temporarily_unavailable']);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await redeem(device_code)).body.error).toBe('authorization_pending');
  expect(await redeem(device_code)).toMatchObject({ status: 400, body: { error: 'slow_down' } });
});

test('without a database a request is refused for now', async () => {
  const proxy = await startProxy();
  const { authorize, redeem, post } = await startOAuth({ databaseUrl: proxy.url });
  const { device_code } = await authorize();
  await proxy.refuse();
  expect(await redeem(device_code)).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } });
  const { status, body } = await post('/oauth2/device_authorization', { client_id: 'tv' });
  expect([status, body.error]).toEqual([503, 'temporarily_unavailable']);
  await proxy.accept();
  await expect
    .poll(async () => (await redeem(device_code)).body.error, { timeout: 10_000 })
    .toBe('authorization_pending');
});
