import type { MikroORM } from '@mikro-orm/postgresql';
import packageJson from '../../package.json' with { type: 'json' };
import type { AuditTrail } from '../audit/trail.ts';
import type { Certificates } from '../crypto/tls-certificates.ts';
import { closeReadPipeline, poolOf } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { faultCounts } from '../database/fault.ts';
import type { DatabaseHealth } from '../database/health.ts';
import { timeWaits } from '../database/pool.ts';
import { retryCounts } from '../database/transaction.ts';
import type { HealthState } from '../grpc/health.ts';
import type { Leases } from '../jobs/leases.ts';
import type { KeyRing } from '../session/key-ring.ts';
import type { ConnectionGate } from '../throttle/connection-gate.ts';
import type { AroundHash, Passwords } from '../user/password.ts';
import { Metrics } from './metrics/metrics.ts';
import type { Tracing } from './traces/tracing.ts';

interface Watched {
  readonly health: HealthState;
  readonly connections: ConnectionGate;
  readonly database: DatabaseHealth;
  readonly logins: { readonly open: number };
  readonly passwords: Passwords;
  readonly ring: KeyRing;
  readonly certificates: Certificates | undefined;
  readonly trail: AuditTrail;
  readonly leases: Leases;
  /** Undefined for a clock that is not adjusted. */
  readonly clockError: () => number | undefined;
}

/** The metrics of a replica and, if they are exported, its traces. */
export class Observation {
  readonly metrics: Metrics;
  readonly #orm: MikroORM;
  readonly #tracing: Tracing | undefined;

  constructor(orm: MikroORM, now: Clock, tracing?: Tracing) {
    this.#orm = orm;
    this.#tracing = tracing;
    this.metrics = new Metrics(packageJson.version, now);
    timeWaits(poolOf(orm), (seconds) => this.metrics.resources.poolWaits.observe(seconds));
    if (!tracing) return;
    tracing.statementsOf(poolOf(orm));
    // Only statements over the pool get spans.
    closeReadPipeline(orm);
  }

  /** For Passwords: times every hash, and traces the hashes of traced calls. */
  readonly aroundHash: AroundHash = (hash) => {
    const tracing = this.#tracing;
    const { timeHash } = this.metrics.resources;
    return tracing ? tracing.hash(() => timeHash(hash)) : timeHash(hash);
  };

  /** Adds the state of these to the metrics; it is read at every scrape. */
  watch(watched: Watched): void {
    const { health, connections, database, logins, passwords, ring, certificates, trail, leases, clockError } = watched;
    const pool = poolOf(this.#orm);
    this.metrics.watchLeases(leases);
    this.metrics.watch({
      readiness: () => health.readiness,
      writeFailures: database.writeFailures,
      connections: () => connections.load,
      loginStreams: () => logins.open,
      hashing: () => passwords.load,
      pool: () => ({
        total: pool.totalCount,
        idle: pool.idleCount,
        waiting: pool.waitingCount,
        limit: pool.options.max,
      }),
      retries: retryCounts,
      databaseFaults: faultCounts,
      clockError,
      signingKeys: () => ring.states(),
      unsealedEvents: () => (leases.holds('audit seals') ? trail.backlog : undefined),
      certificateDaysLeft: (now) => certificates?.daysLeft(now),
    });
  }
}
