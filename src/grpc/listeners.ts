import type { Http2Session } from 'node:http2';
import { Server as NetServer } from 'node:net';
import type { Server } from '@grpc/grpc-js';
import { freeEndedStreams } from './session-streams.ts';

/**
 * The listening servers of a grpc-js server. They are private to it. Should they move one day, HTTP/1.1 is refused as by
 * itself, connections are not counted, and silent ones stay open.
 */
export function listenersOf(server: Server): NetServer[] {
  const { http2Servers } = server as unknown as { readonly http2Servers?: ReadonlyMap<unknown, unknown> };
  return [...(http2Servers?.keys() ?? [])].filter((each) => each instanceof NetServer);
}

const patience = 10_000;

/** Prepares each session that a client opens. Called once the server listens. */
export function prepareSessions(server: Server): void {
  for (const listener of listenersOf(server)) listener.on('session', freeEndedStreams).on('session', requirePreface);
}

/** Closes the connection of a client that has not sent the preface of HTTP/2 after ten seconds. */
function requirePreface(session: Http2Session): void {
  const timer = setTimeout(() => session.destroy(), patience);
  const settle = () => clearTimeout(timer);
  session.once('remoteSettings', settle).once('close', settle);
}
