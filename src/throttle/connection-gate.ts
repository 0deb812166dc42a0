import type { Server, Socket } from 'node:net';
import { plainAddress } from '../text/plain-address.ts';
import { networkOf } from './client-network.ts';

export interface ConnectionRules {
  /** Connections to all ports together. */
  readonly most: number;
  /** Connections of one network; 0 for any number. */
  readonly perNetwork: number;
}

/**
 * Limits the open connections of a process, to all of its ports together: without descriptors left, no port would accept a
 * connection, and no connection to the database could be opened. Connections beyond the limit are closed at once.
 */
export class ConnectionGate {
  readonly #rules: ConnectionRules;
  readonly #byNetwork = new Map<string, number>();
  #open = 0;
  #refused = 0;

  constructor(rules: ConnectionRules) {
    this.#rules = rules;
  }

  get load(): { readonly open: number; readonly refused: number; readonly limit: number } {
    return { open: this.#open, refused: this.#refused, limit: this.#rules.most };
  }

  /** Called for a server after everything that listens for its connections. */
  guard(server: Server): void {
    const serve = server.listeners('connection');
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) => {
      if (this.#admit(socket)) for (const each of serve) each.call(server, socket);
      else socket.destroy();
    });
  }

  #admit(socket: Socket): boolean {
    const network = networkOf(plainAddress(socket.remoteAddress ?? ''));
    const own = this.#byNetwork.get(network) ?? 0;
    const { most, perNetwork } = this.#rules;
    if (this.#open >= most || (perNetwork > 0 && own >= perNetwork)) {
      this.#refused++;
      return false;
    }
    this.#open++;
    this.#byNetwork.set(network, own + 1);
    socket.once('close', () => this.#release(network));
    return true;
  }

  #release(network: string): void {
    this.#open--;
    const left = this.#byNetwork.get(network)! - 1;
    if (left > 0) this.#byNetwork.set(network, left);
    else this.#byNetwork.delete(network);
  }
}

/** Descriptors for files, timers, mail servers and connections to the database beyond the pool. */
const reserve = 256;

/** How many connections a process can accept, by the number of files that it may have open. */
export function mostConnections(poolSize: number): number {
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft: number | string } } };
  const files = Number(userLimits?.open_files?.soft);
  // Without a limit, which reads "unlimited", memory is the limit.
  return Math.max(64, Math.min(Number.isFinite(files) ? files : 65_536, 65_536) - poolSize - reserve);
}
