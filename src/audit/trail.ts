import type { MikroORM } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { keepPartitions } from './partitions.ts';
import { type Backlog, backlogOf, sealEvents } from './seal.ts';

/** What a replica does for the audit trail in the background. */
export class AuditTrail {
  readonly #orm: MikroORM;
  readonly #keys: MasterKeys;
  readonly #retention: number | undefined;
  /** What had no seal when this replica last looked. */
  backlog: Backlog = { count: 0, oldest: null };

  /** Retention in days; undefined keeps everything. */
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
