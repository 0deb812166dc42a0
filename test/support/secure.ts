import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type ConnectionOptions, connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { createConnectTransport } from '@connectrpc/connect-node';
import { credentials } from '@grpc/grpc-js';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { createDatabase } from './database.ts';
import { grpcTransport } from './grpc-transport.ts';
import { startReplica } from './replica.ts';
import { clientsOver } from './start.ts';

/** A file of test/support/certificates; make.sh there describes it. */
export const pem = (file: string) => readFileSync(path.join(import.meta.dirname, 'certificates', file));

export const authority = pem('authority.pem');

/** Certificate and key of that name. */
export const pairOf = (name: string) => ({ cert: pem(`${name}.pem`), key: pem(`${name}.key`) });

/**
 * Files as Kubernetes mounts a secret: all of them are replaced in one step, by a link to their directory. Removed
 * after the test.
 */
export function mountSecret(files: Record<string, string | Buffer>) {
  const root = mkdtempSync(path.join(tmpdir(), 'gatehouse-tls-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  let version = 0;
  const current: Record<string, string | Buffer> = {};
  const put = (changed: Record<string, string | Buffer>) => {
    const directory = `..${++version}`;
    mkdirSync(path.join(root, directory));
    for (const [name, content] of Object.entries(Object.assign(current, changed)))
      writeFileSync(path.join(root, directory, name), content);
    symlinkSync(directory, path.join(root, '..new'));
    renameSync(path.join(root, '..new'), path.join(root, '..data'));
  };
  put(files);
  for (const name of Object.keys(files)) symlinkSync(path.join('..data', name), path.join(root, name));
  return { put, path: (name: string) => path.join(root, name) };
}

/** Starts a replica with TLS on both ports. Its files are those of a secret, the certificate that of `server`. */
export async function startSecurely(env: Record<string, string> = {}, { asksClients = false } = {}) {
  const { cert, key } = pairOf('server');
  const secret = mountSecret({ 'tls.crt': cert, 'tls.key': key, 'ca.crt': authority });
  const files = {
    TLS_CERT: secret.path('tls.crt'),
    TLS_KEY: secret.path('tls.key'),
    ...(asksClients && { TLS_CLIENT_CA: secret.path('ca.crt') }),
  };
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const database = await createDatabase();
  const { replica } = await startReplica(database, { ...files, ...env }, log);
  return {
    ...replica,
    database,
    secret,
    /** The lines of the log about certificates. */
    told: () => lines.filter(({ msg }) => /certificate/.test(`${msg}`)),
    /** Clients on a new connection with the client certificate of that name, if any. */
    grpc: (name?: string, sawServer?: (certificate: PeerCertificate) => void) =>
      grpcClients(replica.grpcPort, name, sawServer),
    json: (agent?: Agent) => jsonClients(replica.httpPort, agent),
  };
}

/** The same with client certificates on the gRPC port, some of which are those of backends. */
export function startMutually(env: Record<string, string> = {}) {
  const listed = 'orders.internal,spiffe://gatehouse.test/backend,legacy-backend,backend.internal';
  return startSecurely({ SERVICE_CERTIFICATES: listed, ...env }, { asksClients: true });
}

function grpcClients(port: number, name?: string, sawServer?: (certificate: PeerCertificate) => void) {
  const { cert, key } = name === undefined ? { cert: null, key: null } : pairOf(name);
  const checkServerIdentity = (_: string, certificate: PeerCertificate) => void sawServer?.(certificate);
  const channel = credentials.createSsl(authority, key, cert, { checkServerIdentity });
  const options = { 'grpc.ssl_target_name_override': 'localhost' };
  const { transport, close } = grpcTransport(`127.0.0.1:${port}`, [], options, channel);
  onTestFinished(close);
  return { ...clientsOver(transport), close };
}

function jsonClients(port: number, agent = new Agent()) {
  const nodeOptions = { ca: authority, agent };
  const transport = createConnectTransport({ baseUrl: `https://127.0.0.1:${port}`, httpVersion: '1.1', nodeOptions });
  return clientsOver(transport);
}

/** The socket of a TLS client after the handshake, or the error of the handshake. */
export async function shakeHands(port: number, options: ConnectionOptions = {}): Promise<TLSSocket | Error> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority, ...options });
  onTestFinished(() => void socket.destroy());
  return new Promise((resolve) => {
    socket.on('error', resolve);
    socket.on('close', () => resolve(new Error('closed')));
    socket.once('secureConnect', () => resolve(socket));
  });
}
