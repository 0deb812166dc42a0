import { generateKeyPairSync } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { importPeer } from './packages.ts';
import { adapterOf, schema } from './postgres-adapter.ts';
import { accessTokens, client as ours, poolSize, refreshTokens, sessionCount } from './terms.ts';

/*
 * oidc-provider on a PostgreSQL. Arguments: the folder of the peers, and the URL of an empty database. The ready line has
 * the tokens that it has created.
 */
interface Saved {
  save(): Promise<string>;
}
type Token = new (about: object) => Saved;
interface Provider {
  callback(): RequestListener;
  readonly Grant: new (about: object) => Saved & { addOIDCScope(scope: string): void };
  readonly Client: { find(id: string): Promise<object> };
  readonly RefreshToken: Token;
  readonly AccessToken: Token;
}

/** Copies of a record, so that the table is as large as that of Gatehouse. */
const fill = `
  insert into records (model, id, payload, grant_id, user_code, uid, expires_at)
  select model, id || '-' || n, payload, grant_id || '-' || n, user_code, uid, expires_at
  from (select model, id, payload, grant_id, user_code, uid, expires_at from records where model = $1 limit 1) one, generate_series(1, $2::int) n`;

const [dir = '', url = ''] = process.argv.slice(2);
const { default: Provider } = await importPeer<{ default: new (issuer: string, options: object) => Provider }>(
  dir,
  'oidc-provider',
);
const database = new pg.Pool({ connectionString: url, max: poolSize });
await database.query(schema);
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const scope = 'openid offline_access';
const provider = new Provider('http://bench.example.org', {
  adapter: adapterOf(database),
  clients: [
    {
      client_id: ours.id,
      client_secret: ours.secret,
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['http://bench.example.org/back'],
      token_endpoint_auth_method: 'client_secret_post',
      // As Gatehouse signs its access tokens.
      id_token_signed_response_alg: 'ES256',
    },
  ],
  cookies: { keys: ['the key of benchmarks'] },
  features: { devInteractions: { enabled: false }, introspection: { enabled: true } },
  findAccount: (_: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'bench', use: 'sig', alg: 'ES256' }] },
  // As Gatehouse does: each refresh token is used once.
  rotateRefreshToken: true,
  ttl: { AccessToken: 600, Grant: 2_592_000, IdToken: 600, RefreshToken: 604_800 },
});
const client = await provider.Client.find(ours.id);
const tokens = {
  refresh: await create('RefreshToken', refreshTokens),
  access: await create('AccessToken', accessTokens),
};
for (const model of ['Grant', 'RefreshToken', 'AccessToken']) await database.query(fill, [model, sessionCount]);
await database.query('vacuum analyze');

const server = createServer(provider.callback());
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`ready ${(server.address() as AddressInfo).port} ${JSON.stringify(tokens)}\n`);
});
process.on('SIGTERM', () => process.exit());

async function create(kind: 'RefreshToken' | 'AccessToken', count: number): Promise<string[]> {
  const created: string[] = [];
  for (let n = 0; n < count; n++) {
    const accountId = `user${n}`;
    const grant = new provider.Grant({ clientId: ours.id, accountId });
    grant.addOIDCScope(scope);
    const grantId = await grant.save();
    const authTime = Math.floor(Date.now() / 1000);
    const about = { accountId, client, grantId, scope, gty: 'authorization_code', authTime };
    created.push(await new provider[kind](about).save());
  }
  return created;
}
