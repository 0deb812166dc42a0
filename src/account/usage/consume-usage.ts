import type { EntityManager } from '@mikro-orm/postgresql';
import { holdKey } from '../../api-key/key-lock.ts';
import type { Autocommit } from '../../database/autocommit.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import type { Made } from '../../request-id/request-id-table.ts';
import { autocommit, change } from '../../rpc/context.ts';
import { type HeldState, holdCaller, requireLive } from '../../session/caller-lock.ts';
import type { AccountDeps, AccountMethods } from '../deps.ts';
import { usageToMessage } from '../message.ts';
import { type Quotas, quotaOfUser, requireUsage, subjectSql } from './quota.ts';
import { keyOf, readUsage, type Subject, subjectOf, type UsageState } from './usage.ts';

export function consumeUsage({ now, requestIds, usage }: AccountDeps): AccountMethods['consumeUsage'] {
  return async (request, context) => {
    const quotas = requireUsage(usage);
    const wanted = { subject: subjectOf(request.subject, context), amount: request.amount };
    const consumeBy = (on: Autocommit | EntityManager) => consume(on, wanted, quotas, now());
    if (request.requestId === undefined) return { usage: usageToMessage(await consumeBy(autocommit(context))) };
    const state = await requestIds.once<UsageState, KeptUsage>(context, request, {
      hours: 1,
      // The statement that takes the amount locks and checks the caller.
      run: (recorded) => change(context, (em) => recorded(em, () => consumeBy(em), keptOf), { ignoresCaller: true }),
      repeat: async (kept) => usageOfKept(kept),
    });
    return { usage: usageToMessage(state) };
  };
}

/** The response as it is kept with a request id. */
interface KeptUsage extends Made {
  readonly used: string;
  readonly limit: string;
  readonly isSubscribed: boolean;
  readonly resetsAt: string;
}

function keptOf({ used, limit, isSubscribed, resetsAt }: UsageState): KeptUsage {
  return { used: `${used}`, limit: `${limit}`, isSubscribed, resetsAt: resetsAt.toISOString() };
}

function usageOfKept({ used, limit, isSubscribed, resetsAt }: KeptUsage): UsageState {
  return { used: BigInt(used), limit: BigInt(limit), isSubscribed, resetsAt: new Date(resetsAt) };
}

interface Wanted {
  readonly subject: Subject;
  readonly amount: number;
}

/** Takes all of the amount or throws QUOTA_EXCEEDED. One statement, except for the first call of a month. */
async function consume(on: Autocommit | EntityManager, wanted: Wanted, quotas: Quotas, now: Date): Promise<UsageState> {
  const taken = await take(on, wanted, quotas, now);
  if (taken) return taken;
  const { subject, amount } = wanted;
  const state = await readUsage(on, subject, quotas, now);
  if (!state.hasBegun) await beginMonth(on, { ...counterOf(subject), ...state, now });
  // There may be room as well when another call has begun the month between the statements above.
  const hasRoom = state.isSubscribed || state.used + BigInt(amount) <= state.limit;
  const takenNow = hasRoom && (await take(on, wanted, quotas, now));
  if (!takenNow) throw quotaExceeded(state);
  return takenNow;
}

async function take(on: Autocommit | EntityManager, { subject, amount }: Wanted, quotas: Quotas, now: Date) {
  const row = await takeRow(on, { subject, amount }, quotas, now);
  if (!row) return undefined;
  const { used, quota, isSubscribed, resetsAt } = row;
  return { used: BigInt(used), limit: BigInt(quota), isSubscribed, resetsAt: new Date(resetsAt) };
}

async function takeRow(on: Autocommit | EntityManager, { subject, amount }: Wanted, quotas: Quotas, now: Date) {
  if (!('userId' in subject)) {
    const { anonymous } = quotas;
    return (await takeOfFingerprint(on, { ...counterOf(subject), anonymous, amount, now }))[0];
  }
  const { projectId, userId, credential } = subject;
  const taking = { projectId, userId, ...quotas, amount, now };
  if (!credential) return (await takeOfUser(on, taking))[0];
  if ('apiKeyId' in credential) {
    const [row] = await takeOfKey(on, { ...taking, ...credential });
    if (!row!.isUsable) throw new Refusal('API_KEY_INVALID');
    return row!.used === null ? undefined : (row as Taken);
  }
  const [row] = await takeOfCaller(on, { ...taking, ...credential });
  requireLive(row!.state);
  return row!.used === null ? undefined : (row as Taken);
}

interface Counter {
  readonly projectId: string;
  readonly subject: string;
}

function counterOf(subject: Subject): Counter {
  return { projectId: subject.projectId, subject: keyOf(subject) };
}

function quotaExceeded({ used, limit, resetsAt }: UsageState): Refusal {
  return new Refusal('QUOTA_EXCEEDED', {
    metadata: { usage: `${used}`, limit: `${limit}`, reset: resetsAt.toISOString() },
  });
}

interface Taken {
  readonly used: string;
  readonly quota: string;
  readonly isSubscribed: boolean;
  /** A text in a transaction. */
  readonly resetsAt: Date | string;
}

interface Taking {
  readonly amount: number;
  readonly now: Date;
}

/** SQL of the write, with further tables and conditions. */
const takeFrom = (tables: string, condition: string) =>
  `update usage_counters c set used = c.used + :amount
   from (${quotaOfUser}) q${tables}
   where c.project_id = q.project_id and c.subject = ${subjectSql(':userId')} and c.resets_at > :now
     and (q.subscribed or c.used + :amount <= q.quota)${condition}
   returning c.used, c.resets_at as "resetsAt", q.quota, q.subscribed as "isSubscribed"`;

// Hot. The condition is in the write, on the newest version of the row: of parallel calls exactly as many pass as the quota
// has room for.
const takeOfUser = statement<Taken, Taking & Quotas & { projectId: string; userId: string }>(
  'usage_consume_user',
  takeFrom('', ''),
);

/** Without a counter when nothing was taken. */
type MaybeTaken = { [Column in keyof Taken]: Taken[Column] | null };
type TakenOfCaller = MaybeTaken & { readonly state: HeldState | null };

// Hot. The same for a user who calls: nothing is taken with a session that was revoked meanwhile. Not under the lock of the
// project, which all calls would take: a statement that waits for the user's row while the
// sessions of everybody are revoked still takes.
const takeOfCaller = statement<
  TakenOfCaller,
  Taking & Quotas & { projectId: string; userId: string; sessionId: string; tokenEpoch: number }
>(
  'usage_consume_caller',
  `with ${holdCaller(':userId', 'none')}, taken as (${takeFrom(', own', " and own.state = 'live'")})
   select own.state, taken.used, taken."resetsAt", taken.quota, taken."isSubscribed"
   from (select 1) one left join own on true left join taken on true`,
);

// Hot. The same for a caller with an API key.
const takeOfKey = statement<
  MaybeTaken & { isUsable: boolean },
  Taking & Quotas & { projectId: string; userId: string; apiKeyId: string }
>(
  'usage_consume_api_key',
  `with ${holdKey}, taken as (${takeFrom(', own', ' and own.is_usable')})
   select coalesce(own.is_usable, false) as "isUsable", taken.used, taken."resetsAt", taken.quota, taken."isSubscribed"
   from (select 1) one left join own on true left join taken on true`,
);

const takeOfFingerprint = statement<Taken, Taking & Counter & Pick<Quotas, 'anonymous'>>(
  'usage_consume_fingerprint',
  `update usage_counters set used = used + :amount
   where project_id = :projectId and subject = :subject and resets_at > :now and used + :amount <= :anonymous::int8
   returning used, resets_at as "resetsAt", :anonymous::int8 as quota, false as "isSubscribed"`,
);

// Of parallel first calls of a month one begins it, and the others change nothing.
const beginMonth = statement<never, Counter & { anchor: Date; resetsAt: Date; now: Date }>(
  'usage_begin_window',
  `insert into usage_counters as c (project_id, subject, used, anchor_at, resets_at)
   values (:projectId, :subject, 0, :anchor, :resetsAt)
   on conflict (project_id, subject) do update set used = 0, resets_at = excluded.resets_at where c.resets_at <= :now`,
);
