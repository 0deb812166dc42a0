import type { EntityManager } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { addToWindow } from './rate-limit-table.ts';

export interface MailLimits {
  /** Seconds between two mails of one kind to one address. */
  readonly gap: number;
  /** Mails of one kind to one address in an hour. */
  readonly perHour: number;
}

/** A mail that may be sent, as it is counted. */
export interface CountedMail {
  readonly projectId: string;
  /** Each kind has its own budget. */
  readonly kind: string;
  /** The address, as emailKey spells it. */
  readonly target: string;
}

/** The values of `countedMail`. */
export interface MailCount {
  readonly gapKey: string;
  readonly hourKey: string;
  readonly gap: number;
  readonly perHour: number;
}

/**
 * SQL of common table expressions that count a mail if the table `wanted` has a row: `counted` has the seconds to wait, 0 when
 * the mail may be sent.
 *
 * The hour counts only what the gap admits: repeated requests within the gap do not use the hour up.
 */
export const countedMail = (wanted: string) =>
  `gap as (
     insert into durable_rate_limits as r (project_id, key, window_ends_at, hits)
     select :projectId::uuid, :gapKey, :now::timestamptz + :gap * interval '1 second', 1 from ${wanted}
     ${addToWindow('fixed')}
     returning hits, window_ends_at
   ), hour as (
     insert into durable_rate_limits as r (project_id, key, window_ends_at, hits)
     select :projectId::uuid, :hourKey, :now::timestamptz + interval '1 hour', 1 from gap where hits = 1
     ${addToWindow('fixed')}
     returning hits, window_ends_at
   ), counted as (
     select extract(epoch from case
       when hour.hits is null then gap.window_ends_at - :now when hour.hits > :perHour then hour.window_ends_at - :now
       else interval '0' end)::float8 as wait from gap left join hour on true
   )`;

const take = statement<{ wait: number }, MailCount & { projectId: string; now: Date }>(
  'mail_budget_take',
  `with ${countedMail('(select 1) one')} select wait from counted`,
);

/**
 * How many mails one address is sent. Anybody may name any address, so known and unknown addresses are counted alike, and
 * under a keyed hash, so that the table does not list them.
 */
export class MailBudget {
  readonly #keys: MasterKeys;
  readonly #limits: MailLimits;

  constructor(keys: MasterKeys, limits: MailLimits) {
    this.#keys = keys;
    this.#limits = limits;
  }

  /** Counts a mail. Returns whether it may be sent. */
  async take(on: EntityManager | Autocommit, mail: CountedMail, now: Date): Promise<boolean> {
    return (await this.takeOrWait(on, mail, now)) === 0;
  }

  /** Counts a mail. Returns 0 when it may be sent, and else the seconds to wait. */
  takeOrWait(on: EntityManager | Autocommit, mail: CountedMail, now: Date): Promise<number> {
    return this.#take(on, mail, now, this.#limits.gap);
  }

  /** Counts a mail that is sent without being asked for: the hour limits it, the gap does not. */
  async takeOfHour(on: EntityManager, mail: CountedMail, now: Date): Promise<boolean> {
    return (await this.#take(on, mail, now, 0)) === 0;
  }

  /** The same count, for a statement with `countedMail` in its text. */
  countOfHour(mail: CountedMail): MailCount {
    return this.#countOf(mail, 0);
  }

  async #take(on: EntityManager | Autocommit, mail: CountedMail, now: Date, gap: number): Promise<number> {
    const [row] = await take(on, { ...this.#countOf(mail, gap), projectId: mail.projectId, now });
    return row!.wait;
  }

  #countOf({ kind, target }: CountedMail, gap: number): MailCount {
    const name = `${kind} ${this.#keys.mac('mail budget', target).toString('base64url')}`;
    return { gapKey: `mail gap ${name}`, hourKey: `mail hour ${name}`, gap, perHour: this.#limits.perHour };
  }
}
