import { statement } from '../database/statement.ts';
import { type Attempt, attemptColumns } from './attempt-table.ts';
import { type AttemptKind, longestInterval, pollTolerance, slowDownBy } from './kinds.ts';

/** A poll: the attempt that a device asks about, and when. */
export interface Poll {
  readonly projectId: string;
  readonly kind: AttemptKind;
  readonly pollingHash: Buffer;
  readonly now: Date;
}

export interface Polled extends Attempt {
  readonly isEarly: boolean;
}

/** What a poll in time returns of an attempt that waits for a decision. */
export interface Waiting extends Pick<Attempt, 'comparison' | 'pollInterval'> {
  readonly state: 'pending' | 'claimed';
}

/** The attempt `a` was polled less than its interval before `now`. */
const isEarly = (a: string, now = ':now::timestamptz') =>
  `coalesce(${a}.polled_at > ${now} - (${a}.poll_interval - ${pollTolerance}) * interval '1 second', false)`;

const isWaiting = (a: string, now = ':now') => `${a}.state in ('pending', 'claimed') and ${a}.expires_at > ${now}`;

// One statement per poll. It writes the stamp of a poll of a waiting attempt, and the interval of one that is early, up to
// the longest interval: a client that polls without a pause writes nothing more. Race: of parallel polls the later ones see
// the stamp of the first in the version of the row that the update locks.
export const pollOne = statement<Polled, Poll>(
  'login_attempt_poll',
  `with found as materialized (
     select ${attemptColumns}, ${isEarly('a')} as "isEarly", ${isWaiting('a')} as waits from login_attempts a
     where a.project_id = :projectId and a.kind = :kind and a.polling_hash = :pollingHash
   ), stamped as (
     update login_attempts a
     set polled_at = case when ${isEarly('a')} then a.polled_at else :now end,
       poll_interval = case when ${isEarly('a')} then least(a.poll_interval + ${slowDownBy}, ${longestInterval})
         else a.poll_interval end
     from found f
     where a.id = f.id and f.waits and ${isWaiting('a')} and (not ${isEarly('a')} or a.poll_interval < ${longestInterval})
     returning a.id, a.poll_interval, a.poll_interval > f."pollInterval" as is_slowed
   )
   select f.id, f."projectId", f.kind, f.state, f."clientName", f.address, f."userAgent", f.comparison, f.about, f."userId",
     f."approverSessionId", f."approverEpoch", f."approverAuthenticatedAt", f."mintedId", f."nonceHash", f."createdAt",
     f."expiresAt", f."changedAt", f."polledAt", coalesce(s.poll_interval, f."pollInterval") as "pollInterval",
     f.waits and coalesce(s.is_slowed, f."isEarly") as "isEarly"
   from found f left join stamped s on s.id = f.id`,
);

/** Several polls, as the columns of an `unnest`. */
interface PollColumns {
  readonly projectIds: readonly string[];
  readonly kinds: readonly AttemptKind[];
  readonly pollingHashes: readonly Buffer[];
  readonly times: readonly Date[];
}

export function columnsOf(polls: readonly Poll[]): PollColumns {
  return {
    projectIds: polls.map(({ projectId }) => projectId),
    kinds: polls.map(({ kind }) => kind),
    pollingHashes: polls.map(({ pollingHash }) => pollingHash),
    times: polls.map(({ now }) => now),
  };
}

// Hot: many at once, of those only the polls of waiting attempts that are in time. Locked rows are skipped: no decision delays
// the other polls, and two of these statements cannot deadlock.
export const pollMany = statement<Waiting & { readonly pollingHash: Buffer }, PollColumns>(
  'login_attempt_poll_all',
  `with free as (
     select a.id, p.now from unnest((select :projectIds::uuid[]), :kinds::text[], :pollingHashes::bytea[], :times::timestamptz[])
       as p (project_id, kind, polling_hash, now)
     join login_attempts a on a.project_id = p.project_id and a.kind = p.kind and a.polling_hash = p.polling_hash
     for no key update of a skip locked
   )
   update login_attempts a set polled_at = free.now from free
   where a.id = free.id and ${isWaiting('a', 'free.now')} and not ${isEarly('a', 'free.now')}
   returning a.state, a.comparison, a.poll_interval as "pollInterval", a.polling_hash as "pollingHash"`,
);

export const findByPolling = statement<Attempt, Omit<Poll, 'now'>>(
  'login_attempt_by_polling',
  `select ${attemptColumns} from login_attempts a
   where a.project_id = :projectId and a.kind = :kind and a.polling_hash = :pollingHash`,
);
