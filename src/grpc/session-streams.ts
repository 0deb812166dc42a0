import type { Http2Session } from 'node:http2';

/** What Node asks of its Map of open streams and of its Set of streams without an id. */
interface StreamTable {
  readonly size: number;
}

interface SessionState {
  streams?: StreamTable;
  pendingStreams?: StreamTable;
}

/** The version whose uses of the tables `OpenStreams` serves. */
const knownNode = 'v24.';

/**
 * Gives a session tables of streams that free ended streams at once, in the place of Node's Map and Set: see `Slots`. A stream
 * holds its call, with the request, the response and the context.
 *
 * The tables are private to Node, and a later version may use them in other ways. There, or should they be in use already, the
 * session keeps those that it has: its calls cost more and behave alike.
 */
export function freeEndedStreams(session: Http2Session): void {
  if (!process.version.startsWith(knownNode)) return;
  const state = stateOf(session);
  if (state?.streams?.size !== 0 || state.pendingStreams?.size !== 0) return;
  state.streams = new OpenStreams();
  state.pendingStreams = new OpenStreams();
}

function stateOf(session: Http2Session): SessionState | undefined {
  const symbol = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'state');
  return symbol && (session as unknown as Record<symbol, SessionState>)[symbol];
}

/** A map and a set in two arrays. A session has at most a hundred streams. */
class OpenStreams {
  readonly #keys: unknown[] = [];
  readonly #streams: unknown[] = [];
  size = 0;

  get(key: unknown): unknown {
    return this.#streams[this.#keys.indexOf(key)];
  }

  set(key: unknown, stream: unknown): this {
    const known = this.#keys.indexOf(key);
    if (known < 0) this.size++;
    const free = known < 0 ? this.#keys.indexOf(undefined) : known;
    const slot = free < 0 ? this.#keys.length : free;
    this.#keys[slot] = key;
    this.#streams[slot] = stream;
    return this;
  }

  add(stream: unknown): this {
    return this.set(stream, stream);
  }

  delete(key: unknown): boolean {
    const slot = this.#keys.indexOf(key);
    if (slot < 0) return false;
    this.#keys[slot] = undefined;
    this.#streams[slot] = undefined;
    this.size--;
    return true;
  }

  forEach(visit: (stream: unknown) => void): void {
    for (const stream of [...this.#streams]) if (stream) visit(stream);
  }
}
