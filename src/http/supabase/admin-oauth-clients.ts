import type { OAuthClient } from '../../../gen/gatehouse/v1/admin_pb.ts';
import { type Answer, type Asked, withBearer } from './asked.ts';
import { AuthError } from './auth-error.ts';
import { pageOf, pagingHeaders } from './page-numbers.ts';

/** GET /admin/oauth/clients. */
export async function listClients({ admin, query, ...asked }: Asked): Promise<Answer> {
  const { page, perPage } = pageOf(query);
  const { clients } = await admin.listOAuthClients({}, withBearer(asked));
  const shown = clients.slice((page - 1) * perPage, page * perPage);
  const headers = pagingHeaders('/admin/oauth/clients', { page, perPage, total: clients.length });
  return { body: { clients: shown.map(clientJson), aud: 'authenticated' }, headers };
}

/** GET /admin/oauth/clients/{client_id}. */
export async function showClient(asked: Asked): Promise<Answer> {
  return { body: clientJson(await namedClient(asked)) };
}

/** POST /admin/oauth/clients. */
export async function refuseCreation(asked: Asked): Promise<Answer> {
  await asked.admin.listOAuthClients({}, withBearer(asked));
  throw isSetting();
}

/** Every request that would change a client. */
export async function refuseChange(asked: Asked): Promise<Answer> {
  await namedClient(asked);
  throw isSetting();
}

async function namedClient({ admin, path, ...asked }: Asked): Promise<OAuthClient> {
  const { clients } = await admin.listOAuthClients({}, withBearer(asked));
  const client = clients.find(({ id }) => id === path.id);
  if (!client) throw new AuthError(404, 'oauth_client_not_found', 'OAuth client not found');
  return client;
}

function isSetting(): AuthError {
  const text = 'The setting OAUTH_CLIENTS lists the OAuth clients. This API does not create, change or delete them.';
  return new AuthError(403, 'oauth_dynamic_client_registration_disabled', text);
}

/** The service grants tokens to devices: there is no page that a client is led to, and none that it leads back to. */
function clientJson({ id, confidential }: OAuthClient) {
  return {
    client_id: id,
    client_name: id,
    client_type: confidential ? 'confidential' : 'public',
    redirect_uris: [],
    token_endpoint_auth_method: confidential ? 'client_secret_basic' : 'none',
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
    response_types: [],
    registration_type: 'manual',
  };
}
