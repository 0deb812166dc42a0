import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { serviceKey } from '../support/people.ts';
import { asUser, shown, startSupabase, supabaseAdmin } from '../support/supabase.ts';

const digest = createHash('sha256').update('the secret of the backend').digest('hex');

test('the clients of the configuration are listed and shown, without a secret', async () => {
  const { service } = await startSupabase({ env: { OAUTH_CLIENTS: `tv-app,billing:${digest}` } });
  const { oauth } = supabaseAdmin(service);
  const { data, error } = await oauth.listClients();
  expect(error).toBeNull();
  expect(data.clients.map(({ client_id, client_type }) => [client_id, client_type])).toEqual([
    ['tv-app', 'public'],
    ['billing', 'confidential'],
  ]);
  expect(JSON.stringify(data)).not.toContain(digest);
  const page = await oauth.listClients({ page: 2, perPage: 1 });
  expect(page.data).toMatchObject({ clients: [{ client_id: 'billing' }], total: 2 });
  expect((await oauth.getClient('tv-app')).data).toMatchObject({
    ...{ client_id: 'tv-app', token_endpoint_auth_method: 'none', registration_type: 'manual' },
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
  });
  expect(shown((await oauth.getClient('unknown')).error).slice(0, 2)).toEqual([404, 'oauth_client_not_found']);
});

test('a change of a client is refused with the setting that lists them', async () => {
  const { service, request } = await startSupabase({ env: { OAUTH_CLIENTS: `tv-app,billing:${digest}` } });
  const { oauth } = supabaseAdmin(service);
  const before = (await oauth.listClients()).data;
  const refused = [
    403,
    'oauth_dynamic_client_registration_disabled',
    'The setting OAUTH_CLIENTS lists the OAuth clients. This API does not create, change or delete them.',
  ];
  for (const redirect_uris of [['https://x.example.com/back'], []])
    expect(shown((await oauth.createClient({ client_name: 'x', redirect_uris })).error)).toEqual(refused);
  for (const id of ['tv-app', 'billing']) {
    expect(shown((await oauth.updateClient(id, { client_name: 'x' })).error)).toEqual(refused);
    expect(shown((await oauth.deleteClient(id)).error)).toEqual(refused);
    const { data, error } = await oauth.regenerateClientSecret(id);
    expect([shown(error), data]).toEqual([refused, null]);
  }
  expect((await oauth.listClients()).data).toEqual(before);
  const headers = asUser(serviceKey);
  const { status, body } = await request('POST', '/admin/oauth/clients/tv-app/regenerate_secret', { headers });
  expect([status, body]).toEqual([403, { code: 403, error_code: refused[1], msg: refused[2] }]);
});

test('a client that the setting does not list is not found, whatever would change', async () => {
  const { service } = await startSupabase({ env: { OAUTH_CLIENTS: 'tv-app' } });
  const { oauth } = supabaseAdmin(service);
  for (const id of ['unknown', '00000000-0000-4000-8000-000000000000', 'TV-APP'])
    for (const { error } of [
      await oauth.getClient(id),
      await oauth.updateClient(id, { client_name: 'x' }),
      await oauth.deleteClient(id),
      await oauth.regenerateClientSecret(id),
    ])
      expect(shown(error), id).toEqual([404, 'oauth_client_not_found', 'OAuth client not found']);
});

test('a user, and a client without a key, see no clients', async () => {
  const { service, request } = await startSupabase();
  const { tokens } = await service.welcome();
  for (const [method, path] of [
    ['GET', ''],
    ['POST', ''],
    ['GET', '/tv-app'],
    ['PUT', '/tv-app'],
    ['DELETE', '/tv-app'],
    ['POST', '/tv-app/regenerate_secret'],
  ] as const) {
    const headers = asUser(tokens.accessToken);
    const refused = await request(method, `/admin/oauth/clients${path}`, { headers });
    expect([refused.status, refused.body.error_code]).toEqual([403, 'not_admin']);
    expect((await request(method, `/admin/oauth/clients${path}`)).status).toBe(401);
  }
});
