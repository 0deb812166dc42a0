import type { Server as NetServer, Socket } from 'node:net';
import type { Server } from '@grpc/grpc-js';
import { listenersOf } from './listeners.ts';

/**
 * Answers HTTP/1.1 at the gRPC port in words. Without it a client that has mistaken the ports receives the binary frames
 * of HTTP/2, and then nothing. Called once the server listens.
 */
export function answerHttp1(server: Server, httpPort: number): void {
  const reply = formatReply(httpPort);
  for (const listener of listenersOf(server)) {
    // TLS has already settled the protocol: this is a client that named none.
    listener.on('unknownProtocol', (socket: Socket) => end(socket, reply));
    if (!('setSecureContext' in listener)) lookBeforeServing(listener, reply);
  }
}

function lookBeforeServing(listener: NetServer, reply: string): void {
  const serve = listener.listeners('connection');
  listener.removeAllListeners('connection');
  listener.on('connection', async (socket: Socket) => {
    const isHttp1 = await beginsWithHttp1(socket);
    if (isHttp1) end(socket, reply);
    // A connection handed over after the server has stopped listening would escape its drain.
    else if (listener.listening && !socket.destroyed) for (const each of serve) each.call(listener, socket);
    else socket.destroy();
  });
}

// HTTP/2 begins with "PRI * HTTP/2.0" (RFC 9113, section 3.4).
const http1 = /^(?!PRI)[A-Z]{3}/;
const patience = 1000;

/** Whether the first bytes are those of an HTTP/1.1 request. They stay in the socket. A silent client is given a second. */
function beginsWithHttp1(socket: Socket): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  let bytes = Buffer.alloc(0);
  const look = () => {
    bytes = Buffer.concat([bytes, socket.read() ?? Buffer.alloc(0)]);
    if (bytes.length >= 3) finish();
  };
  const finish = () => {
    clearTimeout(timer);
    socket.off('readable', look).off('close', finish).off('error', finish);
    // At once and not as they come: each unshift is followed by another event.
    if (bytes.length > 0) socket.unshift(bytes);
    resolve(http1.test(bytes.toString('latin1', 0, 3)));
  };
  const timer = setTimeout(finish, patience);
  socket.on('readable', look).on('close', finish).on('error', finish);
  return promise;
}

function formatReply(httpPort: number): string {
  const text = `This port speaks gRPC, which needs HTTP/2. The same methods are served as JSON over HTTP/1.1 on port ${httpPort}.\n`;
  const head = ['HTTP/1.1 505 HTTP Version Not Supported', 'content-type: text/plain; charset=utf-8'];
  return [...head, `content-length: ${text.length}`, 'connection: close', '', text].join('\r\n');
}

function end(socket: Socket, reply: string): void {
  socket.on('error', () => {});
  // What is left unread when a socket closes would reset it, and take the reply along.
  socket.resume().end(reply);
  setTimeout(() => socket.destroy(), patience).unref();
}
