/** What `GET /` returns: which service this is, and where to read on. The same for every caller and configuration. */
export function describeService(version: string): object {
  return {
    name: 'gatehouse',
    description: 'An authentication microservice. RPCs are served here as JSON, and over gRPC on a port of their own.',
    version,
    call: 'POST /gatehouse.v1.AuthService/SignIn with content-type: application/json',
    health: { live: '/livez', ready: '/readyz' },
    keys: '/.well-known/jwks.json',
    documentation: {
      tour: 'README.md',
      methods: 'docs/api.md',
      errors: 'docs/errors.md',
      settings: 'docs/configuration.md',
    },
  };
}
