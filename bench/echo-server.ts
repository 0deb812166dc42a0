import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';

/*
 * The limit that unary calls are compared with: a bare grpc-js server that responds to every path with as many bytes as
 * the real method, and does nothing else. With `json`, a bare node:http server, which calls in JSON are compared with. It
 * runs in a process of its own.
 */
const answer = Buffer.alloc(Number(process.argv[2] ?? 0));
if (process.argv[3] === 'json') echoJson();
else echoGrpc();

function echoJson(): void {
  const headers = { 'content-type': 'application/json', 'content-length': answer.length };
  const server = createServer((req, res) => {
    req.resume().once('end', () => res.writeHead(200, headers).end(answer));
  });
  server.listen(0, '127.0.0.1', () => process.stdout.write(`ready ${(server.address() as AddressInfo).port}\n`));
  process.on('SIGTERM', () => process.exit());
}

function echoGrpc(): void {
  const pass = (bytes: Buffer) => bytes;
  const wire = {
    requestStream: false,
    responseStream: false,
    requestSerialize: pass,
    requestDeserialize: pass,
  } as const;
  const server = new Server({ 'grpc.enable_channelz': 0 });
  server.addService(
    { echo: { ...wire, path: '/bench.Echo/Echo', responseSerialize: pass, responseDeserialize: pass } },
    { echo: (_: unknown, reply: (error: null, bytes: Buffer) => void) => reply(null, answer) },
  );
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    process.stdout.write(`ready ${port}\n`);
  });
  process.on('SIGTERM', () => server.forceShutdown());
}
