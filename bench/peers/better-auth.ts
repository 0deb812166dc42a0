import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hash, verify } from '@node-rs/argon2';
import pg from 'pg';
import { emailOf, password } from '../seed.ts';
import { hashCost } from '../stage.ts';
import { importPeer } from './packages.ts';
import { poolSize, sessionCount, userCount } from './terms.ts';

/*
 * Better Auth on a PostgreSQL, with the password hash of Gatehouse. Arguments: the folder of the peers, the URL of an empty
 * database or of one that is filled, and the seconds after which reading a session extends it.
 */
interface BetterAuth {
  betterAuth(options: object): { readonly options: object };
}
interface Migrations {
  getMigrations(options: object): Promise<{ runMigrations(): Promise<void> }>;
}
interface NodeAdapter {
  toNodeHandler(auth: object): RequestListener;
}

const [dir = '', url = '', updateAge = '86400'] = process.argv.slice(2);
const { betterAuth } = await importPeer<BetterAuth>(dir, 'better-auth');
const { getMigrations } = await importPeer<Migrations>(dir, 'better-auth/db/migration');
const { toNodeHandler } = await importPeer<NodeAdapter>(dir, 'better-auth/node');

const users = `
  insert into "user" (id, name, email, "emailVerified", "createdAt", "updatedAt")
  select 'user' || n - 1, 'User', email, true, now(), now() from unnest($1::text[]) with ordinality as seeded (email, n)`;
const accounts = `
  insert into account (id, "accountId", "providerId", "userId", password, "createdAt", "updatedAt")
  select 'account' || id, id, 'credential', id, $1, now(), now() from "user"`;
const sessions = `
  insert into session (id, token, "userId", "expiresAt", "createdAt", "updatedAt", "ipAddress", "userAgent")
  select 'session' || n, 'token' || n, 'user' || n % $2, now() + interval '7 days', now(), now(), '192.0.2.1', 'Firefox'
  from generate_series(1, $1::int) n`;

// Argon2id, as its enumeration has it.
const cost = { ...hashCost, algorithm: 2 };
const database = new pg.Pool({ connectionString: url, max: poolSize });
const auth = betterAuth({
  database,
  baseURL: 'http://bench.example.org',
  secret: 'the secret of benchmarks, which is long enough',
  emailAndPassword: {
    enabled: true,
    password: {
      hash: (text: string) => hash(text, cost),
      verify: (given: { hash: string; password: string }) => verify(given.hash, given.password),
    },
  },
  session: { expiresIn: 7 * 86_400, updateAge: Number(updateAge) },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
});
await (await getMigrations(auth.options)).runMigrations();
await seed();

const server = createServer(toNodeHandler(auth));
server.listen(0, '127.0.0.1', () => process.stdout.write(`ready ${(server.address() as AddressInfo).port}\n`));
process.on('SIGTERM', () => process.exit());

async function seed(): Promise<void> {
  if ((await database.query('select 1 from "user" limit 1')).rowCount !== 0) return;
  const emails = Array.from({ length: userCount }, (_, n) => emailOf(n));
  await database.query(users, [emails]);
  await database.query(accounts, [await hash(password, cost)]);
  await database.query(sessions, [sessionCount, userCount]);
  await database.query('vacuum analyze');
}
