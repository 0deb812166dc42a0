import type { MikroORM } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { keepPartitions } from './partitions.ts';
import { type Backlog, UnsealedQueue } from './queue.ts';
import { sealEvents } from './seal.ts';

/** The background work of a replica on the audit trail. */
export class AuditTrail {
  readonly #orm: MikroORM;
  readonly #keys: MasterKeys;
  readonly #retention: number | undefined;
  readonly #queue: UnsealedQueue;

  /** `retention` in days; undefined keeps everything. */
  constructor(orm: MikroORM, keys: MasterKeys, retention: number | undefined) {
    this.#orm = orm;
    this.#queue = new UnsealedQueue(orm);
    this.#keys = keys;
    this.#retention = retention;
  }

  /** The unsealed events when this replica last checked. */
  get backlog(): Backlog {
    return this.#queue.backlog;
  }

  async seal(now: Date): Promise<void> {
    await sealEvents(this.#orm, this.#keys, now, this.#queue);
  }

  keepPartitions(now: Date): Promise<void> {
    return keepPartitions(this.#orm, this.#keys, this.#retention, now);
  }
}
