import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { findBinaries } from '../../src/database/embedded/binaries.ts';
import { createCluster } from '../../src/database/embedded/cluster.ts';
import { createLauncher } from '../../src/database/embedded/launcher.ts';

const certificates = path.join(import.meta.dirname, 'certificates');

export const certificate = (name: string): string => path.join(certificates, name);

/** The password of the user `ada`. */
export const password = 'p%ss w@rd/?#';

const access = `
local   all all trust
hostssl all ada,bob 127.0.0.1/32 scram-sha-256
hostssl all ada ::1/128 scram-sha-256
hostssl all not-this-name 127.0.0.1/32 cert
`;

export type TlsPostgres = Awaited<ReturnType<typeof startTlsPostgres>>;

/**
 * A PostgreSQL that listens on TCP, with a certificate for localhost and 127.0.0.1, and takes connections over TLS only.
 * Ada owns the database `auth`, she and bob need a password, `not-this-name` needs a certificate of that name.
 */
export async function startTlsPostgres() {
  const root = mkdtempSync(path.join(tmpdir(), 'gatehouse-tls-'));
  chmodSync(root, 0o755);
  const cluster = path.join(root, 'postgres');
  const launcher = createLauncher(await findBinaries(), { root, cluster });
  const { owner } = launcher;
  await createCluster({ root, cluster, release: () => {} }, launcher);
  writeFileSync(path.join(cluster, 'pg_hba.conf'), access);
  for (const name of ['server.pem', 'server.key', 'authority.pem']) {
    const copy = path.join(cluster, name);
    copyFileSync(certificate(name), copy);
    chmodSync(copy, 0o600);
    if (owner) chownSync(copy, owner.uid, owner.gid);
  }
  const port = await freePort();
  const settings = {
    ...{ listen_addresses: '127.0.0.1,::1', fsync: 'off', max_connections: 60, ssl: 'on' },
    ...{ ssl_cert_file: 'server.pem', ssl_key_file: 'server.key', ssl_ca_file: 'authority.pem' },
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const ready = Promise.withResolvers<void>();
  const lines: string[] = [];
  // PgBouncer runs as another user, which cannot enter the cluster's directory.
  const socketDir = path.join(root, 'socket');
  mkdirSync(socketDir);
  if (owner) chownSync(socketDir, owner.uid, owner.gid);
  const args = ['-k', socketDir, '-p', `${port}`, ...options];
  const server = launcher.start('postgres', cluster, args, (line) => {
    lines.push(line);
    if (line.includes('ready to accept connections')) ready.resolve();
  });
  server.ended.then(() => ready.reject(new Error(lines.join('\n'))));
  await ready.promise;
  const query = async <Row extends pg.QueryResultRow>(text: string, values: unknown[] = [], database = 'postgres') => {
    const client = new pg.Client({ host: socketDir, port, user: 'postgres', database });
    await client.connect();
    return client
      .query<Row>(text, values)
      .then(({ rows }) => rows, Promise.reject.bind(Promise))
      .finally(() => client.end());
  };
  await query(`create role ada login createdb password '${password}'`);
  await query('create role "not-this-name" login');
  await query('create database auth owner ada');
  return {
    port,
    socketDir,
    /** As the superuser, over the Unix socket. */
    query,
    /** Runs a statement in a transaction that stays open, with its locks, until the result is called. */
    async hold(database: string, text: string) {
      const client = new pg.Client({ host: socketDir, port, user: 'postgres', database });
      client.on('error', () => {});
      await client.connect();
      await client.query('begin');
      await client.query(text);
      return () => client.end();
    },
    /** For ada, over TCP. */
    url: (parameters: string, hosts = `127.0.0.1:${port}`) =>
      `postgresql://ada:${encodeURIComponent(password)}@${hosts}/auth${parameters}`,
    async stop() {
      await server.end();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
