import type { AdminDeps, AdminMethods } from './deps.ts';

export function listOAuthClients({ oauthClients }: AdminDeps): AdminMethods['listOAuthClients'] {
  return () => ({ clients: oauthClients.map(({ id, digest }) => ({ id, confidential: digest !== undefined })) });
}
