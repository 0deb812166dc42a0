import { AuthError } from './auth-error.ts';
import type { Route } from './route.ts';

/** Routes of Supabase Auth for what this service does not have. Clients read the code: to them, a page is an unknown fault. */
export const offRoutes: readonly Route[] = [
  ...off(new AuthError(404, 'saml_provider_disabled', 'SAML 2.0 is disabled'), [
    'POST /sso',
    'GET /sso/saml/metadata',
    'POST /sso/saml/acs',
    'GET /admin/sso/providers',
    'POST /admin/sso/providers',
    'GET /admin/sso/providers/:id',
    'PUT /admin/sso/providers/:id',
    'DELETE /admin/sso/providers/:id',
  ]),
  ...off(new AuthError(404, 'feature_disabled', 'OAuth server is disabled'), [
    'GET /oauth/authorize',
    'POST /oauth/token',
    'GET /oauth/userinfo',
    'POST /oauth/clients/register',
    'GET /oauth/authorizations/:id',
    'POST /oauth/authorizations/:id/consent',
    'GET /user/oauth/grants',
    'DELETE /user/oauth/grants',
  ]),
  ...off(new AuthError(404, 'feature_disabled', 'Providers are those of the configuration (OAUTH_PROVIDERS)'), [
    'GET /admin/custom-providers',
    'POST /admin/custom-providers',
    'GET /admin/custom-providers/:id',
    'PUT /admin/custom-providers/:id',
    'DELETE /admin/custom-providers/:id',
  ]),
  ...off(new AuthError(422, 'mfa_recovery_codes_enroll_not_enabled', 'GenerateRecoveryCodes creates recovery codes'), [
    'GET /factors/recovery-codes',
    'POST /factors/recovery-codes',
    'DELETE /factors/recovery-codes',
    'POST /factors/recovery-codes/regenerate',
  ]),
  ...off(new AuthError(422, 'mfa_recovery_codes_verify_not_enabled', 'Recovery codes are verified as a factor is'), [
    'POST /factors/recovery-codes/verify',
  ]),
];

/** Whatever the credential and the body are: clients expect this before anything is validated. */
function off(error: AuthError, names: readonly string[]): Route[] {
  const serve: Route['serve'] = async () => {
    throw error;
  };
  return names.map((each) => {
    const [method, path] = each.split(' ') as [Route['method'], string];
    return { method, path, name: 'about', calls: [], serve };
  });
}
