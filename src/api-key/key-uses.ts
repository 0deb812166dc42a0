import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';

interface Use {
  readonly userId: string;
  readonly at: Date;
}

interface Presented {
  readonly userIds: readonly string[];
  readonly ids: readonly string[];
  readonly times: readonly Date[];
}

/** Seconds between two writes of the last use of one key, by all replicas together. */
const interval = 60;

// A row that another transaction holds is left for the next run: a use never waits for a lock.
const stamp = statement<{ id: string }, Presented>(
  'api_keys_stamp',
  `with free as materialized (
     select k.id, k.last_used_at, p.user_id, p.at
     from unnest(:userIds::uuid[], :ids::uuid[], :times::timestamptz[]) as p (user_id, id, at)
       join api_keys k on k.user_id = p.user_id and k.id = p.id
     for no key update of k skip locked
   ), stamped as (
     update api_keys k set last_used_at = p.at
     from free p where k.user_id = p.user_id and k.id = p.id
       and (p.last_used_at is null or p.last_used_at <= p.at - interval '${interval} seconds')
     returning k.id
   )
   select free.id from free, (select count(*) from stamped) done`,
);

/**
 * When API keys were last used. A use is kept in memory, and only if the row's time is older than a minute; a job writes those
 * of all keys in one statement. So no call writes, and a key whose row is locked can be used without a wait.
 */
export class KeyUses {
  readonly #waiting = new Map<string, Use>();
  static readonly #most = 10_000;

  /** Notes a use of a key, as read from its row. */
  note(key: { readonly id: string; readonly userId: string; readonly lastUsedAt: Date | null }, at: Date): void {
    if (key.lastUsedAt && at.getTime() - key.lastUsedAt.getTime() < interval * 1000) return;
    if (this.#waiting.has(key.id) || this.#waiting.size < KeyUses.#most)
      this.#waiting.set(key.id, { userId: key.userId, at });
  }

  /** Writes the uses that wait. Those of locked rows wait for up to a minute more. */
  async flush(autocommit: Autocommit, now: Date): Promise<void> {
    const uses = [...this.#waiting];
    if (uses.length === 0) return;
    const written = await stamp(autocommit, {
      userIds: uses.map(([, { userId }]) => userId),
      ids: uses.map(([id]) => id),
      times: uses.map(([, { at }]) => at),
    });
    const settled = new Set(written.map(({ id }) => id));
    for (const [id, use] of uses) {
      const isOver = settled.has(id) || now.getTime() - use.at.getTime() > interval * 1000;
      if (isOver && this.#waiting.get(id) === use) this.#waiting.delete(id);
    }
  }
}
