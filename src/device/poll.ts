import type { HandlerContext } from '@connectrpc/connect';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { autocommit, projectOf } from '../rpc/context.ts';
import { type Attempt, attemptColumns } from './attempt-table.ts';
import { hashPollingSecret, isSecret } from './codes.ts';
import {
  type AttemptKind,
  kinds,
  longestInterval,
  pollTolerance,
  type ShownState,
  slowDownBy,
  stateAt,
} from './kinds.ts';

/** The attempt `a` was polled less than its interval ago. */
const isEarly = (a: string) =>
  `coalesce(${a}.polled_at > :now::timestamptz - (${a}.poll_interval - ${pollTolerance}) * interval '1 second', false)`;

const isWaiting = (a: string) => `${a}.state in ('pending', 'claimed') and ${a}.expires_at > :now`;

interface Polled extends Attempt {
  readonly isEarly: boolean;
}

interface Poll {
  readonly projectId: string;
  readonly kind: AttemptKind;
  readonly pollingHash: Buffer;
  readonly now: Date;
}

// One statement per poll. It writes the stamp of a poll of a waiting attempt, and the interval of one that is early, up to
// the longest interval: a client that polls without a pause writes nothing more. Race: of parallel polls the later ones see
// the stamp of the first in the version of the row that the update locks.
const poll = statement<Polled, Poll>(
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

/** An attempt as a poll found it. */
export interface PollResult {
  readonly attempt: Attempt;
  readonly state: ShownState;
}

/**
 * Polls the attempt of a polling secret. Undefined for a secret that was never issued, or of another kind or project.
 *
 * Throws SLOW_DOWN when an attempt that waits for a decision is polled before its interval is over. The interval of this
 * attempt is then 5 seconds longer (RFC 8628, section 3.5). A decided or expired attempt never is.
 */
export async function pollAttempt(
  context: HandlerContext,
  kind: AttemptKind,
  secret: string,
  now: Date,
): Promise<PollResult | undefined> {
  if (!isSecret(kinds[kind].pollingPrefix, secret)) return undefined;
  const projectId = projectOf(context);
  const pollingHash = hashPollingSecret(projectId, kind, secret);
  const [found] = await poll(autocommit(context), { projectId, kind, pollingHash, now });
  if (!found) return undefined;
  const { isEarly: isTooEarly, ...attempt } = found;
  if (isTooEarly) throw new Refusal('SLOW_DOWN', { retryAfter: attempt.pollInterval });
  return { attempt, state: stateAt(attempt, now) };
}

const find = statement<Attempt, Omit<Poll, 'now'>>(
  'login_attempt_by_polling',
  `select ${attemptColumns} from login_attempts a
   where a.project_id = :projectId and a.kind = :kind and a.polling_hash = :pollingHash`,
);

/** The attempt of a polling secret, without a poll. */
export async function findByPollingSecret(
  context: HandlerContext,
  kind: AttemptKind,
  secret: string,
): Promise<Attempt | undefined> {
  const projectId = projectOf(context);
  const pollingHash = hashPollingSecret(projectId, kind, secret);
  const [attempt] = await find(autocommit(context), { projectId, kind, pollingHash });
  return attempt;
}
