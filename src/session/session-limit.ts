import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { isLive } from './session.ts';

/** The largest value of SESSIONS_PER_USER. No look at the sessions of a user reads more rows than follow from it. */
const most = 1000;

/** SQL: how many sessions of a user are not revoked, counted up to a bound that no limit reaches. */
export const heldSessions = (userId: string) =>
  `(select count(*) from (
       select 1 from sessions where user_id = ${userId} and revoked_at is null limit ${most + 1}) held)::int`;

/**
 * SQL: the sessions of a user that are not revoked, newest first, for a query that picks live ones. A user has no more than
 * the limit, except for a moment after the limit was reduced.
 */
export const newestHeld = (columns: string, userId: string) =>
  `(select ${columns} from sessions s where s.user_id = ${userId} and s.revoked_at is null order by s.id desc limit ${most})`;

interface Eviction {
  readonly userId: string;
  readonly opened: string;
  readonly now: Date;
  /** How many sessions the user may have beside the new one. */
  readonly keep: number;
}

// By age alone, a client that signs in every second would end the sessions in use. Race: a session that was refreshed since
// the statement began is not evicted, since it may have become the newest refresh.
const evict = statement<{ id: string; isEvicted: boolean }, Eviction>(
  'sessions_evict',
  `with held as (
     select s.id, s.generation, s.refreshed_at, ${isLive('s')} as is_live,
       (s.generation > 0 or s.refreshed_at > s.created_at) as is_refreshed
     from sessions s where s.user_id = :userId and s.revoked_at is null and s.id <> :opened
     order by s.id limit ${2 * most}
   ), excess as (
     select id, generation, refreshed_at from held
     order by is_live desc, is_refreshed desc, refreshed_at desc, id desc offset :keep
   ), evicted as (
     update sessions s set revoked_at = :now, revoke_reason = 'session_limit' from excess e
     where s.user_id = :userId and s.id = e.id and s.revoked_at is null
       and s.generation = e.generation and s.refreshed_at = e.refreshed_at
     returning s.id
   )
   select e.id, evicted.id is not null as "isEvicted" from excess e left join evicted on evicted.id = e.id`,
);

interface Room {
  readonly userId: string;
  /** The session that the caller opens. It is never evicted. */
  readonly opened: string;
  /** SESSIONS_PER_USER. */
  readonly limit: number;
}

/**
 * Revokes the sessions of a user beyond the limit, with an audit event each: first those that are no longer live, then those
 * that were never refreshed, the oldest first, then the least recently refreshed. The newest refresh stays while the
 * limit leaves room for one session beside the new one. The caller holds the user's row, so parallel sign-ins queue up.
 */
export async function evictSessions(
  em: EntityManager,
  context: HandlerContext,
  { userId, opened, limit }: Room,
  now: Date,
): Promise<void> {
  for (let wasRefreshed = true; wasRefreshed; ) {
    const excess = await evict(em, { userId, opened, now, keep: limit - 1 });
    for (const { id, isEvicted } of excess)
      if (isEvicted) audit(em, context, { action: 'session.evicted', userId, sessionId: id }, now);
    wasRefreshed = excess.some(({ isEvicted }) => !isEvicted);
  }
}
