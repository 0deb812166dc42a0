import type { DescMethod } from '@bufbuild/protobuf';
import type { Code, ContextValues } from '@connectrpc/connect';
import type { Refusal } from '../../errors.ts';
import { kOrigin, kSystem } from '../../rpc/context.ts';
import { statusName } from '../../rpc/status.ts';
import type { CallCounter } from '../../rpc/telemetry.ts';
import type { Exposition, Series } from './exposition.ts';
import { Outcomes } from './outcomes.ts';
import { Timings } from './timings.ts';

const systems = ['grpc', 'connectrpc'] as const;

/** The counts of one method. Timings are indexed by status code, with one list for each system. */
class MethodCounts {
  readonly name: string;
  readonly timings: Readonly<Record<(typeof systems)[number], (Timings | undefined)[]>> = { grpc: [], connectrpc: [] };
  // INTERNAL exists from the start, because Prometheus sees no increase in a series that begins with 1.
  readonly refusals = new Map<string, number>([['INTERNAL', 0]]);

  constructor({ parent, name }: DescMethod) {
    this.name = `${parent.typeName}/${name}`;
  }

  refused(reason: string): number {
    return this.refusals.get(reason) ?? 0;
  }
}

/** Counts and times the calls of the given methods. Nothing is allocated per call. */
export class CallMetrics implements CallCounter {
  readonly #methods: ReadonlyMap<DescMethod, MethodCounts>;
  readonly #outcomes = new Outcomes();
  #inFlight = 0;
  #forwardingUnread = 0;

  constructor(methods: readonly DescMethod[]) {
    this.#methods = new Map(methods.map((each) => [each, new MethodCounts(each)]));
  }

  began(): void {
    this.#inFlight++;
  }

  ended(method: DescMethod, values: ContextValues, seconds: number, code: Code | 0, refusal?: Refusal): void {
    this.#inFlight--;
    if (values.get(kOrigin).isForwardingUnread) this.#forwardingUnread++;
    const counts = this.#methods.get(method);
    if (!counts) return;
    const timings = counts.timings[values.get(kSystem)];
    timings[code] ??= new Timings();
    timings[code].observe(seconds);
    if (refusal) counts.refusals.set(refusal.reason, counts.refused(refusal.reason) + 1);
    this.#outcomes.count(method, values, refusal);
  }

  expose(to: Exposition): void {
    to.histogram('rpc_server_call_duration_seconds', 'Duration of calls, by method and status.', () =>
      this.#durations(),
    );
    to.gauge('gatehouse_calls_in_flight', 'Calls in progress.', 'sum', () => this.#inFlight);
    to.counter(
      'gatehouse_forwarded_for_unread_total',
      'Calls whose X-Forwarded-For has no address in the place that TRUSTED_PROXY_HOPS names.',
      () => this.#forwardingUnread,
    );
    to.counter('gatehouse_calls_shed_total', 'Calls refused because MAX_IN_FLIGHT was reached.', () =>
      this.#each().reduce((sum, each) => sum + each.refused('SERVER_BUSY'), 0),
    );
    to.counter('gatehouse_calls_rate_limited_total', 'Calls refused because of a call budget.', () =>
      this.#each().map((each) => [{ rpc_method: each.name }, each.refused('OVER_REQUEST_RATE_LIMIT')]),
    );
    to.counter('gatehouse_refusals_total', 'Calls refused, by reason.', () =>
      this.#each().flatMap(({ name, refusals }) =>
        [...refusals].map(([reason, count]): Series<number> => [{ rpc_method: name, reason }, count]),
      ),
    );
    this.#outcomes.expose(to);
  }

  #each(): MethodCounts[] {
    return [...this.#methods.values()];
  }

  *#durations(): Generator<Series<Timings>> {
    for (const { name, timings } of this.#each())
      for (const system of systems)
        for (const [code, each] of timings[system].entries()) {
          const status = statusName(code);
          if (each) yield [{ rpc_system_name: system, rpc_method: name, rpc_response_status_code: status }, each];
        }
  }
}
