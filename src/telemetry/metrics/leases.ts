import type { Exposition } from './exposition.ts';

/** The part of the leases that the metrics read. */
export interface LeaseView<Name extends string = string> {
  holds(name: Name): boolean;
  readonly takeovers: ReadonlyMap<Name, number>;
}

export function exposeLeases<Name extends string>(to: Exposition, leases: LeaseView<Name>): void {
  to.gauge(
    'gatehouse_lease_held',
    'Whether this process does the work of this name for all processes: 1 or 0.',
    'max',
    () => [...leases.takeovers.keys()].map((name) => [{ lease: name }, leases.holds(name) ? 1 : 0]),
  );
  to.counter('gatehouse_lease_takeovers_total', 'How often this process took a lease that it did not have.', () =>
    [...leases.takeovers].map(([name, count]) => [{ lease: name }, count]),
  );
}
