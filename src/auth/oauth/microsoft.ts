import type { OpenIdRules } from './open-id-provider.ts';
import { byDomainOwner } from './profile.ts';
import type { Claims, ProviderSettings } from './provider.ts';

/** The tenant of all personal accounts. */
const personal = '9188040d-6c67-4c5b-b112-36a304b66dad';
const tenantShape = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Microsoft Entra ID. Its endpoint for many tenants publishes an issuer with a placeholder, and each token has the issuer of
 * its tenant. So the issuer of a token is compared with that of the tenant that the same token names, and the tenant with
 * those that are allowed.
 *
 * Attack: without the comparison, a token of any tenant would be one of every tenant.
 */
export function microsoftRules(settings: ProviderSettings): OpenIdRules {
  const { issuer: authority = 'https://login.microsoftonline.com', tenant = 'common' } = settings;
  const base = authority.replace(/\/$/, '');
  const issuerOf = (id: string) => `${base}/${id}/v2.0`;
  const only = tenant === 'consumers' ? personal : tenantShape.test(tenant) ? tenant : undefined;
  const isAllowed = (id: string) => {
    if (tenant === 'organizations' && id === personal) return false;
    return only === undefined ? (settings.allowedTenants?.includes(id) ?? true) : id === only;
  };
  return {
    label: 'Microsoft',
    issuer: issuerOf(only ?? '{tenantid}'),
    metadataUrl: `${issuerOf(tenant)}/.well-known/openid-configuration`,
    isIssuer: (claims) => {
      const id = claims.tid;
      return typeof id === 'string' && tenantShape.test(id) && isAllowed(id) && claims.iss === issuerOf(id);
    },
    isResponseIssuer: (iss) => {
      const id = iss.slice(base.length + 1, -'/v2.0'.length);
      return tenantShape.test(id) && isAllowed(id) && iss === issuerOf(id);
    },
    scopes: ['openid', 'email', 'profile'],
    isVerified: byDomainOwner,
    // `sub` differs between the clients of one installation, and `oid` is one of a tenant only.
    subjectOf: ({ tid, oid, sub }: Claims) => `${tid}/${typeof oid === 'string' && oid !== '' ? oid : sub}`,
  };
}
