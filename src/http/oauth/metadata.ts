import { grantTypes } from './grants.ts';

const authentication = ['none', 'client_secret_basic', 'client_secret_post'];

/** The path of the metadata of an issuer: the issuer's own path comes last (RFC 8414, section 3.1). */
export function metadataPath(issuer: string): string {
  return `/.well-known/oauth-authorization-server${new URL(issuer).pathname.replace(/\/$/, '')}`;
}

/** The metadata of the authorization server (RFC 8414). */
export function metadataOf({ issuer, publicUrl }: { issuer: string; publicUrl: string }): object {
  return {
    issuer,
    device_authorization_endpoint: `${publicUrl}/oauth2/device_authorization`,
    token_endpoint: `${publicUrl}/oauth2/token`,
    token_endpoint_auth_methods_supported: authentication,
    revocation_endpoint: `${publicUrl}/oauth2/revoke`,
    revocation_endpoint_auth_methods_supported: authentication,
    introspection_endpoint: `${publicUrl}/oauth2/introspect`,
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    jwks_uri: `${publicUrl}/.well-known/jwks.json`,
    grant_types_supported: grantTypes,
    // There is no authorization endpoint.
    response_types_supported: [],
  };
}
