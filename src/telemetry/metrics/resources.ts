import type { Exposition, Series } from './exposition.ts';
import { exposeConnections, exposeReadiness, type Replica } from './replica.ts';
import { Timings } from './timings.ts';

/** The limited resources of a replica. They are read at every scrape, so reading must be cheap. */
export interface Resources extends Replica {
  readonly hashing: () => { readonly running: number; readonly waiting: number; readonly limit: number };
  readonly pool: () => {
    readonly total: number;
    readonly idle: number;
    readonly waiting: number;
    readonly limit: number;
  };
  /** How often each operation was repeated because of a conflict. */
  readonly retries: ReadonlyMap<string, number>;
  /** How often the database failed, by SQLSTATE or the code of the system. */
  readonly databaseFaults: ReadonlyMap<string, number>;
  /** Seconds. Undefined for a clock that is not adjusted. */
  readonly clockError: () => number | undefined;
  readonly signingKeys: () => readonly { readonly state: string; readonly since: Date }[];
  /** Undefined where another process seals. */
  readonly unsealedEvents: () => { readonly count: number; readonly oldest: Date | null } | undefined;
  /** Undefined without TLS. */
  readonly certificateDaysLeft: (now: Date) => number | undefined;
}

const dayMs = 86_400_000;

/** Times the waits for and the uses of resources, and exposes how much of them is in use. */
export class ResourceMetrics {
  readonly hashes = new Timings();
  readonly poolWaits = new Timings();
  readonly #unreadableHashes = { damaged: 0, pepper: 0 };

  /** Also counts a hash that fails. */
  readonly timeHash = async <T>(hash: () => Promise<T>): Promise<T> => {
    const startedAt = performance.now();
    try {
      return await hash();
    } finally {
      this.hashes.observe((performance.now() - startedAt) / 1000);
    }
  };

  countUnreadable(reason: 'damaged' | 'pepper'): void {
    this.#unreadableHashes[reason]++;
  }

  expose(to: Exposition, resources: Resources, now: () => Date): void {
    const { signingKeys } = resources;
    exposeReadiness(to, resources);
    exposeConnections(to, resources);
    this.#exposeHashing(to, resources);
    this.#exposeDatabase(to, resources);
    exposeKeys(to, signingKeys, now);
    exposeTrail(to, resources, now);
    exposeCertificate(to, resources, now);
  }

  #exposeHashing(to: Exposition, { hashing }: Resources): void {
    to.gauge('gatehouse_hashes_in_flight', 'Passwords being hashed.', 'sum', () => hashing().running);
    to.gauge('gatehouse_hash_queue_length', 'Calls waiting to hash a password.', 'sum', () => hashing().waiting);
    to.gauge(
      'gatehouse_hash_queue_limit',
      'Calls that may wait; further ones are refused.',
      'sum',
      () => hashing().limit,
    );
    to.histogram('gatehouse_hash_duration_seconds', 'Duration of hashes, without the wait.', () => [[{}, this.hashes]]);
    to.counter(
      'gatehouse_unreadable_hashes_total',
      'Passwords that could not be checked, because the stored hash is damaged or its pepper is not configured.',
      () => Object.entries(this.#unreadableHashes).map(([reason, count]) => [{ reason }, count]),
    );
  }

  #exposeDatabase(to: Exposition, { pool, retries, databaseFaults, clockError }: Resources): void {
    to.gauge(
      'gatehouse_clock_error_seconds',
      'The most by which the clock may differ from the database.',
      'max',
      clockError,
    );
    to.gauge('gatehouse_database_pool_connections', 'Open connections to the database.', 'sum', () => {
      const { total, idle } = pool();
      return [
        [{ state: 'idle' }, idle],
        [{ state: 'used' }, total - idle],
      ];
    });
    to.gauge('gatehouse_database_pool_limit', 'Connections the replica may open.', 'sum', () => pool().limit);
    to.gauge('gatehouse_database_pool_waiting', 'Queries waiting for a connection.', 'sum', () => pool().waiting);
    to.histogram('gatehouse_database_pool_wait_seconds', 'Wait for a connection.', () => [[{}, this.poolWaits]]);
    to.counter('gatehouse_database_faults_total', 'Failures of the database, by SQLSTATE or system code.', () =>
      [...databaseFaults].map(([sqlstate, count]) => [{ sqlstate }, count]),
    );
    to.counter('gatehouse_transaction_retries_total', 'Transactions repeated after a conflict.', () =>
      [...retries].map(([operation, count]) => [{ operation }, count]),
    );
  }
}

function exposeKeys(to: Exposition, keys: Resources['signingKeys'], now: () => Date): void {
  to.gauge('gatehouse_signing_keys', 'Signing keys by state.', 'max', () =>
    byState(keys()).map(([state, since]) => [{ state }, since.length]),
  );
  to.gauge('gatehouse_signing_key_age_seconds', 'How long the oldest key has been in this state.', 'max', () =>
    byState(keys()).flatMap(([state, since]): Series<number>[] =>
      since.length > 0 ? [[{ state }, (now().getTime() - Math.min(...since)) / 1000]] : [],
    ),
  );
}

function exposeTrail(to: Exposition, { unsealedEvents }: Resources, now: () => Date): void {
  to.gauge(
    'gatehouse_audit_unsealed_events',
    'Audit events without a seal, when the replica that seals last checked.',
    'max',
    () => unsealedEvents()?.count,
  );
  to.gauge('gatehouse_audit_unsealed_age_seconds', 'Age of the oldest audit event without a seal.', 'max', () => {
    const backlog = unsealedEvents();
    const oldest = backlog?.oldest;
    return oldest ? Math.max(0, (now().getTime() - oldest.getTime()) / 1000) : backlog && 0;
  });
}

function exposeCertificate(to: Exposition, { certificateDaysLeft }: Resources, now: () => Date): void {
  to.gauge('gatehouse_certificate_expiry_timestamp_seconds', 'Expiry of the TLS certificate.', 'min', () => {
    const at = now();
    const left = certificateDaysLeft(at);
    return left && (at.getTime() + left * dayMs) / 1000;
  });
}

function byState(keys: readonly { state: string; since: Date }[]): [state: string, since: number[]][] {
  return ['standby', 'active', 'retired'].map((state) => [
    state,
    keys.filter((each) => each.state === state).map(({ since }) => since.getTime()),
  ]);
}
