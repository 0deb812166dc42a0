import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../../database/autocommit.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import { Project } from '../../project/project.ts';
import {
  countOf,
  type Quotas,
  readAccountSummary,
  referralsOfUser,
  subjectOfUser,
  type UsageState,
  usageOf,
} from './account-summary.ts';

const UsageCounterTable = defineEntity({
  name: 'UsageCounter',
  tableName: 'usage_counters',
  properties: {
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id').primary(),
    /** `user:` and an id, or `fingerprint:` and what the client calls itself. */
    subject: p.string().length(160).primary(),
    used: p.bigint(),
    anchorAt: p.datetime(3),
    resetsAt: p.datetime(3),
  },
  indexes: [{ name: 'usage_counters_end', properties: ['resetsAt'] }],
});

/** What one subject has used since the last reset. */
export class UsageCounter extends UsageCounterTable.class {}
UsageCounterTable.setClass(UsageCounter);

/** Whose usage is counted. Guests are users, too; a fingerprint is somebody's word for who they are. */
export type Subject =
  | { readonly projectId: string; readonly userId: string }
  | { readonly projectId: string; readonly fingerprint: string };

interface Consumed {
  readonly used: string;
  readonly resetsAt: Date;
  readonly quota: string;
  readonly subscribed: boolean;
}

// Hot: the condition is in the write, on the newest version of the row, so that of parallel calls exactly as many pass as
// the quota has room for. The limit follows the rule of `usageOf`, from what is true at this moment: an account grants
// something to its members alone, wherever a user is said to be.
const consumeOfUser = statement<Consumed>(
  'usage_consume_user',
  `update usage_counters c set used = c.used + $3
   from (
     select u.project_id, ${subjectOfUser} as subject, coalesce(s.status = 'active', false) as subscribed,
       case when u.is_anonymous then $5::int8
         else case when s.status = 'active' then $7::int8 else $6::int8 end + $8::int8 * ${referralsOfUser} end as quota
     from users u
       left join memberships m on m.project_id = u.project_id and m.account_id = u.current_account_id and m.user_id = u.id
       left join subscriptions s on s.account_id = m.account_id
     where u.project_id = $1 and u.id = $2 and u.deleted_at is null
   ) q
   where c.project_id = q.project_id and c.subject = q.subject and c.resets_at > $4
     and (q.subscribed or c.used + $3 <= q.quota)
   returning c.used, c.resets_at as "resetsAt", q.quota, q.subscribed`,
);

const consumeOfFingerprint = statement<Consumed>(
  'usage_consume_fingerprint',
  `update usage_counters set used = used + $3
   where project_id = $1 and subject = $2 and resets_at > $4 and used + $3 <= $5::int8
   returning used, resets_at as "resetsAt", $5::int8 as quota, false as subscribed`,
);

// Whoever comes second finds the window begun.
const beginWindow = statement<never>(
  'usage_begin_window',
  `insert into usage_counters as c (project_id, subject, used, anchor_at, resets_at) values ($1, $2, 0, $3, $4)
   on conflict (project_id, subject) do update set used = 0, resets_at = excluded.resets_at where c.resets_at <= $5`,
);

interface Counter {
  readonly used: string;
  readonly anchorAt: Date;
  readonly resetsAt: Date;
}

const readCounter = statement<Counter>(
  'usage_counter',
  `select used, anchor_at as "anchorAt", resets_at as "resetsAt" from usage_counters where project_id = $1 and subject = $2`,
);

/** Counts what users and fingerprints consume in a month. */
export class UsageMeter {
  readonly #quotas: Quotas;

  constructor(quotas: Quotas) {
    this.#quotas = quotas;
  }

  async read(on: EntityManager | Autocommit, subject: Subject, now: Date): Promise<UsageState> {
    return (await this.#look(on, subject, now)).state;
  }

  /** Takes all of the amount or throws QUOTA_EXCEEDED. One statement, but for the first call of a month. */
  async consume(autocommit: Autocommit, subject: Subject, amount: number, now: Date): Promise<UsageState> {
    const taken = await this.#take(autocommit, subject, amount, now);
    if (taken) return taken;
    const { state, anchor, hasBegun } = await this.#look(autocommit, subject, now);
    const { used, limit, resetsAt } = state;
    if (!hasBegun) await beginWindow(autocommit, [subject.projectId, keyOf(subject), anchor, resetsAt, now]);
    // There is room, too, where another call has begun the window between this one's two looks.
    if (state.isSubscribed || Number(used) + amount <= limit) {
      const takenFromNew = await this.#take(autocommit, subject, amount, now);
      if (takenFromNew) return takenFromNew;
    }
    throw new Refusal('QUOTA_EXCEEDED', {
      metadata: { usage: `${used}`, limit: `${limit}`, reset: resetsAt.toISOString() },
    });
  }

  async #look(on: EntityManager | Autocommit, subject: Subject, now: Date) {
    if ('userId' in subject) {
      const summary = await readAccountSummary(on, subject.projectId, subject.userId);
      const state = usageOf(summary, this.#quotas, now);
      return { state, anchor: new Date(summary.createdAt), hasBegun: isRunning(summary.resetsAt, now) };
    }
    const [counter] = await readCounter(on, [subject.projectId, keyOf(subject)]);
    const anchor = counter?.anchorAt ?? now;
    const count = countOf(counter ? { ...counter, used: BigInt(counter.used) } : nothing, anchor, now);
    const state = { ...count, limit: this.#quotas.anonymous, isSubscribed: false };
    return { state, anchor, hasBegun: isRunning(counter?.resetsAt, now) };
  }

  async #take(autocommit: Autocommit, subject: Subject, amount: number, now: Date): Promise<UsageState | undefined> {
    const { anonymous, free, paid, bonus } = this.#quotas;
    const [row] =
      'userId' in subject
        ? await consumeOfUser(autocommit, [
            subject.projectId,
            subject.userId,
            amount,
            now,
            anonymous,
            free,
            paid,
            bonus,
          ])
        : await consumeOfFingerprint(autocommit, [subject.projectId, keyOf(subject), amount, now, anonymous]);
    if (!row) return undefined;
    return { used: BigInt(row.used), limit: Number(row.quota), isSubscribed: row.subscribed, resetsAt: row.resetsAt };
  }
}

const nothing = { used: null, resetsAt: null };

function isRunning(resetsAt: Date | string | null | undefined, now: Date): boolean {
  return resetsAt != null && new Date(resetsAt) > now;
}

function keyOf(subject: Subject): string {
  return 'userId' in subject ? `user:${subject.userId.toLowerCase()}` : `fingerprint:${subject.fingerprint}`;
}
