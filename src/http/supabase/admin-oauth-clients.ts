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
  const { clients } = await asked.admin.listOAuthClients({}, withBearer(asked));
  const client = clients.find(({ id }) => id === asked.path.id);
  if (!client) throw new AuthError(404, 'oauth_client_not_found', 'OAuth client not found');
  return { body: clientJson(client) };
}

/** Every request that would change a client: the configuration names them. */
export async function refuseChange(asked: Asked): Promise<Answer> {
  await asked.admin.listOAuthClients({}, withBearer(asked));
  const text = 'OAuth clients are those of the configuration (OAUTH_CLIENTS)';
  throw new AuthError(403, 'oauth_dynamic_client_registration_disabled', text);
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
