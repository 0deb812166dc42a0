import type { MikroORM } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { keepPartitions } from './partitions.ts';
import { type Backlog, UnsealedQueue, type Unseen } from './queue.ts';
import { sealEvents } from './seal.ts';

/** The background work of a replica on the audit trail. */
export class AuditTrail {
  readonly #orm: MikroORM;
  readonly #keys: MasterKeys;
  readonly #retention: number | undefined;
  readonly #holder: string;
  readonly #queue: UnsealedQueue;

  /** `retention` in days; undefined keeps everything. Only the holder of the leases seals and drops. */
  constructor(orm: MikroORM, keys: MasterKeys, retention: number | undefined, holder: string) {
    this.#orm = orm;
    this.#holder = holder;
    this.#queue = new UnsealedQueue(orm, holder);
    this.#keys = keys;
    this.#retention = retention;
  }

  /** The unsealed events when this replica last checked. */
  get backlog(): Backlog {
    return this.#queue.backlog;
  }

  /** What the queue has not seen since its last drain. Undefined for a replica that does not seal, and before its first drain. */
  unseen(isSealing: boolean): Unseen | undefined {
    return this.#queue.unseen(isSealing);
  }

  /** Whether this replica has sealed since it has the lease. */
  get isCurrent(): boolean {
    return this.#queue.isCurrent;
  }

  async seal(now: Date): Promise<void> {
    await sealEvents(this.#orm, this.#keys, now, this.#queue);
  }

  keepPartitions(now: Date): Promise<void> {
    return keepPartitions(this.#orm, this.#keys, this.#retention, now, this.#holder);
  }
}
