/*
 * The server that the conformance suite of Connect calls: our own adapters for gRPC and for the Connect protocol, with the
 * suite's service behind them instead of ours. It reads a ServerCompatRequest from stdin and writes a ServerCompatResponse to
 * stdout, each after its length. Its argument is the folder of the suite's protos.
 */
import { readSync, writeSync } from 'node:fs';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ServerCredentials } from '@grpc/grpc-js';
import type { Certificates } from '../../src/crypto/tls-certificates.ts';
import { HealthState } from '../../src/grpc/health.ts';
import { createGrpcServer, listenGrpc } from '../../src/grpc/server.ts';
import { connectGateway } from '../../src/http/connect.ts';
import { largestRequest } from '../../src/http/limits.ts';
import { listenHttp } from '../../src/http/listening.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { conformanceService, readSuite } from './service.ts';

const host = '127.0.0.1';
const grpc = 2;

const suite = readSuite(process.argv[2]!);
const services = [conformanceService(suite)];
const requestType = suite.getMessage('connectrpc.conformance.v1.ServerCompatRequest')!;
const responseType = suite.getMessage('connectrpc.conformance.v1.ServerCompatResponse')!;

// The length is in the first four bytes. The suite closes stdin only when the server is to end.
const request = fromBinary(requestType, readFully(readFully(4).readUInt32BE())) as unknown as {
  readonly protocol: number;
  readonly useTls: boolean;
  readonly serverCreds?: { readonly cert: Uint8Array; readonly key: Uint8Array };
};

const { cert, key } = request.serverCreds ?? {};
const tls = request.useTls ? { cert: Buffer.from(cert!), key: Buffer.from(key!) } : undefined;
const logBug = (thrown: unknown) => console.error(thrown);
const options = { interceptors: [], proxyHops: 0, shutdownSignal: new AbortController().signal, logBug };
const port = request.protocol === grpc ? await serveGrpcPort() : await serveHttpPort();
const response = toBinary(responseType, create(responseType, { host, port, pemCert: tls?.cert ?? new Uint8Array() }));
const length = Buffer.alloc(4);
length.writeUInt32BE(response.byteLength);
writeSync(1, Buffer.concat([length, response]));

function serveGrpcPort(): Promise<number> {
  const server = createGrpcServer({
    ...options,
    services,
    health: new HealthState([]),
    reflection: false,
    largestRequest,
  });
  const credentials = tls
    ? ServerCredentials.createSsl(null, [{ private_key: tls.key, cert_chain: tls.cert }])
    : ServerCredentials.createInsecure();
  return listenGrpc(server, host, 0, credentials);
}

function serveHttpPort(): Promise<number> {
  const gateway = connectGateway(services, { ...options, refusesUnknownFields: true, registry: suite });
  const cors = { origins: [], allowsLocalhost: false, publicUrl: 'http://localhost', onRefused: () => {} };
  const certificates = tls && ({ context: tls, onRenewal: () => {} } as unknown as Certificates);
  const other = { version: '0', readiness: () => 'ready' as const, jwks: () => ({}), passkeyOrigins: [] };
  return listenHttp(createHttpServer({ gateway, cors, certificates, ...other }), host, 0);
}

function readFully(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let read = 0; read < size; ) read += readSync(0, bytes, read, size - read, null);
  return bytes;
}
