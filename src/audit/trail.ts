import type { MikroORM } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { keepPartitions } from './partitions.ts';
import { type Backlog, backlogOf, sealEvents } from './seal.ts';

/** The background work of a replica on the audit trail. */
export class AuditTrail {
  readonly #orm: MikroORM;
  readonly #keys: MasterKeys;
  readonly #retention: number | undefined;
  /** The unsealed events when this replica last checked. */
  backlog: Backlog = { count: 0, oldest: null };

  /** `retention` in days; undefined keeps everything. */
  constructor(orm: MikroORM, keys: MasterKeys, retention: number | undefined) {
    this.#orm = orm;
    this.#keys = keys;
    this.#retention = retention;
  }

  async seal(now: Date): Promise<void> {
    this.backlog = await backlogOf(this.#orm);
    if (this.backlog.count > 0) await sealEvents(this.#orm, this.#keys, now);
  }

  keepPartitions(now: Date): Promise<void> {
    return keepPartitions(this.#orm, this.#retention, now);
  }
}
