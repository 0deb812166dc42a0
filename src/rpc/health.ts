import { EventEmitter, on } from 'node:events';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import { type Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/grpc/health/v1/health_pb.ts';

/** Whether the service can serve right now, as load balancers ask for it (the gRPC health checking protocol). */
export class HealthState {
  readonly #names: ReadonlySet<string>;
  readonly #changes = new EventEmitter().setMaxListeners(0);
  #isServing = false;

  /** `services` are the names that may be asked for; the empty name stands for the whole. */
  constructor(services: readonly string[]) {
    this.#names = new Set(['', ...services]);
  }

  get isServing(): boolean {
    return this.#isServing;
  }

  set(isServing: boolean): void {
    if (isServing === this.#isServing) return;
    this.#isServing = isServing;
    this.#changes.emit('change');
  }

  statusOf(service: string): Status {
    if (!this.#names.has(service)) return Status.SERVICE_UNKNOWN;
    return this.#isServing ? Status.SERVING : Status.NOT_SERVING;
  }

  list(): Record<string, { status: Status }> {
    return Object.fromEntries([...this.#names].map((name) => [name, { status: this.statusOf(name) }]));
  }

  /** The status now, and again each time it changes, until the signal is aborted. */
  async *watch(service: string, signal: AbortSignal): AsyncGenerator<{ status: Status }> {
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
      if (!signal.aborted) throw thrown;
    }
  }
}

export function healthService(state: HealthState): ServiceImpl<typeof Health> {
  return {
    check({ service }) {
      const status = state.statusOf(service);
      if (status === Status.SERVICE_UNKNOWN) throw new ConnectError('unknown service', Code.NotFound);
      return { status };
    },
    list: () => ({ statuses: state.list() }),
    watch: ({ service }, { signal }) => state.watch(service, signal),
  };
}
