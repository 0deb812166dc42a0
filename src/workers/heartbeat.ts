/** Whether the event loop of a worker runs: it responds to each ping of the primary. */
export class Heartbeat {
  #unanswered = 0;

  /** Pings since its last response. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** False once the event loop has been blocked for five seconds. What the worker reported before is then no longer true. */
  get isResponsive(): boolean {
    return this.#unanswered < 5;
  }

  pinged(): void {
    this.#unanswered++;
  }

  responded(): void {
    this.#unanswered = 0;
  }
}
