import { EventEmitter, on } from 'node:events';
import type { ServiceImpl } from '@connectrpc/connect';
import { type Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/grpc/health/v1/health_pb.ts';
import { Refusal } from '../errors.ts';
import type { Readiness } from '../rpc/readiness.ts';

/** Whether the service can serve, for load balancers (the gRPC health checking protocol). */
export class HealthState {
  readonly #names: ReadonlySet<string>;
  readonly #changes = new EventEmitter().setMaxListeners(0);
  readonly #closing = new AbortController();
  #readiness: Readiness = 'not ready';
  #isRetired = false;

  /** `services` are the names that a check may ask for. The empty name is the server as a whole. */
  constructor(services: readonly string[]) {
    this.#names = new Set(['', ...services]);
  }

  get readiness(): Readiness {
    return this.#readiness;
  }

  set(readiness: Readiness): void {
    if (readiness === this.#readiness || this.#isRetired) return;
    this.#readiness = readiness;
    this.#changes.emit('change');
  }

  /** Calls the listener on every change. */
  onChange(listener: (readiness: Readiness) => void): void {
    this.#changes.on('change', () => listener(this.#readiness));
  }

  /** Not ready from now on. A later `set` is ignored. */
  retire(): void {
    this.set('not ready');
    this.#isRetired = true;
  }

  /** Ends all watches: an open watch must not delay the shutdown of a replica. */
  close(): void {
    this.#closing.abort();
  }

  statusOf(service: string): Status {
    if (!this.#names.has(service)) return Status.SERVICE_UNKNOWN;
    return this.#readiness === 'not ready' ? Status.NOT_SERVING : Status.SERVING;
  }

  list(): Record<string, { status: Status }> {
    return Object.fromEntries([...this.#names].map((name) => [name, { status: this.statusOf(name) }]));
  }

  /** The status now, and again each time it changes, until the replica stops. Throws the reason of the signal's abort. */
  async *watch(service: string, caller: AbortSignal): AsyncGenerator<{ status: Status }> {
    const signal = AbortSignal.any([caller, this.#closing.signal]);
    const changes = on(this.#changes, 'change', { signal });
    let last: Status | undefined;
    try {
      for (;;) {
        const status = this.statusOf(service);
        if (status !== last) yield { status };
        last = status;
        await changes.next();
      }
    } catch (thrown) {
      if (this.#closing.signal.aborted) return;
      // At the deadline the caller must not get the OK of a stream that has ended.
      caller.throwIfAborted();
      throw thrown;
    }
  }
}

export function healthService(state: HealthState): ServiceImpl<typeof Health> {
  return {
    check({ service }) {
      const status = state.statusOf(service);
      if (status === Status.SERVICE_UNKNOWN) throw new Refusal('SERVICE_NOT_FOUND');
      return { status };
    },
    list: () => ({ statuses: state.list() }),
    watch: ({ service }, { signal }) => state.watch(service, signal),
  };
}
