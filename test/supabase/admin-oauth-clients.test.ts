import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { shown, startSupabase, supabaseAdmin } from '../support/supabase.ts';

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

test('a change of a client is refused: the configuration names them', async () => {
  const { service } = await startSupabase({ env: { OAUTH_CLIENTS: 'tv-app' } });
  const { oauth } = supabaseAdmin(service);
  const changes = [
    () => oauth.createClient({ client_name: 'x', redirect_uris: ['https://x.example.com'] }),
    () => oauth.updateClient('tv-app', { client_name: 'x' }),
    () => oauth.deleteClient('tv-app'),
    () => oauth.regenerateClientSecret('tv-app'),
  ];
  for (const change of changes)
    expect(shown((await change()).error).slice(0, 2)).toEqual([403, 'oauth_dynamic_client_registration_disabled']);
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
    const asUser = { authorization: `Bearer ${tokens.accessToken}` };
    const refused = await request(method, `/admin/oauth/clients${path}`, { headers: asUser });
    expect([refused.status, refused.body.error_code]).toEqual([403, 'not_admin']);
    expect((await request(method, `/admin/oauth/clients${path}`)).status).toBe(401);
  }
});
