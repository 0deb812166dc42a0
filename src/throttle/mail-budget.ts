import type { EntityManager } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';

export interface MailLimits {
  /** Seconds between two things of one kind. */
  readonly gap: number;
  /** Things of one kind in an hour. */
  readonly perHour: number;
}

// The hour counts only what the gap let pass: asking again and again does not use it up.
const take = statement<{ wait: number }>(
  'target_budget_take',
  `with gap as (
     insert into rate_limits as r (project_id, key, window_ends_at, hits)
     values ($1, $2, $4::timestamptz + $5 * interval '1 second', 1)
     on conflict (project_id, key) do update set
       hits = case when r.window_ends_at <= $4 then 1 else least(r.hits + 1, 1000000) end,
       window_ends_at = case when r.window_ends_at <= $4 then excluded.window_ends_at else r.window_ends_at end
     returning hits, window_ends_at
   ), hour as (
     insert into rate_limits as r (project_id, key, window_ends_at, hits)
     select $1::uuid, $3, $4::timestamptz + interval '1 hour', 1 from gap where hits = 1
     on conflict (project_id, key) do update set
       hits = case when r.window_ends_at <= $4 then 1 else r.hits + 1 end,
       window_ends_at = case when r.window_ends_at <= $4 then excluded.window_ends_at else r.window_ends_at end
     returning hits, window_ends_at
   )
   select extract(epoch from case
     when hour.hits is null then gap.window_ends_at - $4 when hour.hits > $6 then hour.window_ends_at - $4
     else interval '0' end)::float8 as wait from gap left join hour on true`,
);

/**
 * How often something reaches one address that anyone may name. Counted whether or not the address is known, so that
 * nothing is told by it, and under a keyed hash, so that the table is no list of who was asked for.
 */
export class MailBudget {
  readonly #keys: MasterKeys;
  readonly #limits: MailLimits;

  constructor(keys: MasterKeys, limits: MailLimits) {
    this.#keys = keys;
    this.#limits = limits;
  }

  /** Whether one more of `kind` may reach the address, as emailKey spells it. */
  async take(
    on: EntityManager | Autocommit,
    projectId: string,
    kind: string,
    target: string,
    now: Date,
  ): Promise<boolean> {
    return (await this.takeOrWait(on, projectId, kind, target, now)) === 0;
  }

  /** The same for what happens once of itself: however soon after another, and in the hour no more often. */
  async takeOfHour(on: EntityManager, projectId: string, kind: string, target: string, now: Date): Promise<boolean> {
    return (await this.#take(on, projectId, kind, target, now, 0)) === 0;
  }

  /** The same, answered with the seconds until one may. */
  async takeOrWait(
    on: EntityManager | Autocommit,
    projectId: string,
    kind: string,
    target: string,
    now: Date,
  ): Promise<number> {
    return this.#take(on, projectId, kind, target, now, this.#limits.gap);
  }

  async #take(
    on: EntityManager | Autocommit,
    projectId: string,
    kind: string,
    target: string,
    now: Date,
    gap: number,
  ): Promise<number> {
    const { perHour } = this.#limits;
    const name = this.#keys.mac('target budget', target).toString('base64url');
    const [row] = await take(on, [projectId, `${kind} ${name}`, `mail ${kind} ${name}`, now, gap, perHour]);
    return row!.wait;
  }
}
