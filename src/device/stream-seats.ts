import { Refusal } from '../errors.ts';

/** Streams of one network, and of all together, per process. */
const mostPerNetwork = 200;
const most = 20_000;

/** Bounds how many streams are open at once. Each costs memory for as long as it waits. */
export class StreamSeats {
  readonly #byNetwork = new Map<string, number>();
  #taken = 0;

  /** Returns what gives the seat back. Throws OVER_REQUEST_RATE_LIMIT or SERVER_BUSY when no seat is free. */
  take(network: string): () => void {
    const own = this.#byNetwork.get(network) ?? 0;
    if (own >= mostPerNetwork) throw new Refusal('OVER_REQUEST_RATE_LIMIT', { retryAfter: 5 });
    if (this.#taken >= most) throw new Refusal('SERVER_BUSY', { retryAfter: 5 });
    this.#taken++;
    this.#byNetwork.set(network, own + 1);
    return () => this.#giveBack(network);
  }

  #giveBack(network: string): void {
    this.#taken--;
    const left = this.#byNetwork.get(network)! - 1;
    if (left > 0) this.#byNetwork.set(network, left);
    else this.#byNetwork.delete(network);
  }
}
