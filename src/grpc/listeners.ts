import type { Http2Session } from 'node:http2';
import { Server as NetServer } from 'node:net';
import type { Server } from '@grpc/grpc-js';

/**
 * The listening servers of a grpc-js server. They are private to it. Should they move one day, HTTP/1.1 is refused as by
 * itself, connections are not counted, and silent ones stay open.
 */
export function listenersOf(server: Server): NetServer[] {
  const { http2Servers } = server as unknown as { readonly http2Servers?: ReadonlyMap<unknown, unknown> };
  return [...(http2Servers?.keys() ?? [])].filter((each) => each instanceof NetServer);
}

const patience = 10_000;

/** Closes connections whose client has not sent the preface of HTTP/2 after ten seconds. Called once the server listens. */
export function requirePreface(server: Server): void {
  for (const listener of listenersOf(server))
    listener.on('session', (session: Http2Session) => {
      const timer = setTimeout(() => session.destroy(), patience);
      const settle = () => clearTimeout(timer);
      session.once('remoteSettings', settle).once('close', settle);
    });
}
