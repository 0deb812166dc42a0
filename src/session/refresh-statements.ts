import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { anyOf, statement } from '../database/statement.ts';
import { secondsOfOutage } from '../project/heartbeat.ts';
import { mayActAt } from '../user/user.ts';
import { subjectColumns, type TokenSubject } from './access-token.ts';
import { endOf, isLive } from './session.ts';

/** A refresh token as it was presented, and the client that presented it. */
export interface PresentedToken {
  readonly userId: string;
  readonly sessionId: string;
  readonly projectId: string;
  readonly generation: number;
  readonly secretHash: Buffer;
  /** Null without an attempt id. */
  readonly attemptHash: Buffer | null;
  readonly address: string;
  readonly userAgent: string;
}

/** The rotation of session `s`, its condition in the write: of any number of calls with one token one rotates it. */
const rotation = (token: Readonly<Record<keyof PresentedToken, string>>) => ({
  set: `generation = s.generation + 1,
   attempt_hash = ${token.attemptHash},
   refreshed_at = :now,
   idle_expires_at = least(:now::timestamptz + s.idle_seconds * interval '1 second', s.expires_at),
   refresh_window_at = case when s.refresh_window_at <= :now::timestamptz - interval '1 minute' then :now else s.refresh_window_at end,
   refresh_count = case when s.refresh_window_at <= :now::timestamptz - interval '1 minute' then 1 else s.refresh_count + 1 end,
   address = ${token.address},
   user_agent = ${token.userAgent}`,
  where: `s.user_id = ${token.userId} and s.id = ${token.sessionId} and s.project_id = ${token.projectId}
   and s.generation = ${token.generation} and s.secret_hash = ${token.secretHash}
   and ${isLive('s')}
   and (s.refresh_count < :perMinute or s.refresh_window_at <= :now::timestamptz - interval '1 minute')
   and u.id = ${token.userId} and ${mayActAt('u')}`,
});

const one = rotation({
  userId: ':userId',
  sessionId: ':sessionId',
  projectId: ':projectId',
  generation: ':generation',
  secretHash: ':secretHash',
  attemptHash: ':attemptHash',
  address: ':address',
  userAgent: ':userAgent',
});

/** What each statement of a rotation needs beside the token. */
export interface RotationBounds {
  readonly now: Date;
  readonly perMinute: number;
}

/**
 * SQL: the rotation of one session. Hot, and the whole of a refresh. Exported as text for the bench, which measures what the
 * database can bear, and for statements that also return the user.
 */
export const rotateOneSql = (returned: string) => `update sessions s
 set ${one.set}
 from users u
 where ${one.where}
 returning ${returned}`;

const each = rotation({
  userId: 'p.user_id',
  sessionId: 'p.session_id',
  projectId: 'p.project_id',
  generation: 'p.generation',
  secretHash: 'p.secret_hash',
  attemptHash: 'p.attempt_hash',
  address: 'p.address',
  userAgent: 'p.user_agent',
});

/** Several presented tokens, as the columns of an `unnest`. */
export interface TokenColumns {
  readonly userIds: readonly string[];
  readonly sessionIds: readonly string[];
  readonly projectIds: readonly string[];
  readonly generations: readonly number[];
  readonly secretHashes: readonly Buffer[];
  readonly attemptHashes: readonly (Buffer | null)[];
  readonly addresses: readonly string[];
  readonly userAgents: readonly string[];
}

export function columnsOf(tokens: readonly PresentedToken[]): TokenColumns {
  return {
    userIds: tokens.map(({ userId }) => userId),
    sessionIds: tokens.map(({ sessionId }) => sessionId),
    projectIds: tokens.map(({ projectId }) => projectId),
    generations: tokens.map(({ generation }) => generation),
    secretHashes: tokens.map(({ secretHash }) => secretHash),
    attemptHashes: tokens.map(({ attemptHash }) => attemptHash),
    addresses: tokens.map(({ address }) => address),
    userAgents: tokens.map(({ userAgent }) => userAgent),
  };
}

/**
 * SQL: the rotation of many sessions, of the users `p.user_id`. Hot. Locked rows are skipped: no session delays the others, and
 * two of these statements cannot deadlock.
 */
export const rotateManySql = (returned: string) => `with presented as (
   select t.user_id, t.session_id, t.project_id, t.generation, t.secret_hash, t.attempt_hash, t.address, t.user_agent
   from unnest((select :userIds::uuid[]), :sessionIds::uuid[], :projectIds::uuid[], :generations::int[], :secretHashes::bytea[],
     :attemptHashes::bytea[], :addresses::text[], :userAgents::text[])
     as t (user_id, session_id, project_id, generation, secret_hash, attempt_hash, address, user_agent)
 ), free as (
   select id from sessions where user_id = ${anyOf(':userIds')} and id = ${anyOf(':sessionIds')}
   for no key update skip locked
 )
 update sessions s
 set ${each.set}
 from users u, presented p, free
 where free.id = p.session_id and ${each.where}
 returning ${returned}`;

/** The session of a token that was not rotated: enough to say why, and to give the successor to a replay. */
export interface NotRotatedState {
  readonly generation: number;
  readonly same_secret: boolean;
  /** Whether the last refresh had the attempt id of this one. */
  readonly same_attempt: boolean;
  /** Null while the session is live. */
  readonly ended: 'revoked' | 'expired' | null;
  readonly revoke_reason: string | null;
  readonly seconds_since_refresh: number;
  /** Of those, the ones in which the database confirmed no writes. */
  readonly seconds_of_outage: number;
  readonly seconds_of_window: number;
}

export type NotRotated<Row extends TokenSubject = TokenSubject> = Row & NotRotatedState;

export type SessionOfToken = Pick<
  PresentedToken,
  'userId' | 'sessionId' | 'projectId' | 'secretHash' | 'attemptHash'
> & {
  readonly now: Date;
};

/** SQL: the session of a token, whether or not it is live. */
export const findSessionSql = (returned: string) => `select ${returned}, s.generation,
     s.secret_hash = :secretHash as same_secret, s.revoke_reason,
     coalesce(s.attempt_hash = :attemptHash, false) as same_attempt,
     ${endOf('s', 'u')} as ended,
     extract(epoch from :now::timestamptz - s.refreshed_at)::float8 as seconds_since_refresh,
     ${secondsOfOutage('s.refreshed_at')} as seconds_of_outage,
     extract(epoch from :now::timestamptz - s.refresh_window_at)::float8 as seconds_of_window
   from sessions s join users u on u.id = :userId
   where s.user_id = :userId and s.id = :sessionId and s.project_id = :projectId`;

type Run<Row, Values> = (on: EntityManager | Autocommit, values: Values | (() => Values)) => Promise<Row[]>;

/** The statements of a rotation. Those that return more than a TokenSubject are defined where it is known what that is. */
export interface RotationStatements<Row extends TokenSubject> {
  readonly one: Run<Row, RotationBounds & PresentedToken>;
  readonly many: Run<Row, RotationBounds & TokenColumns>;
  readonly find: Run<NotRotated<Row>, SessionOfToken>;
}

export const findSession = statement<NotRotated, SessionOfToken>('session_refreshed', findSessionSql(subjectColumns));

/** What a refresh needs for the tokens, and nothing else. */
export const rotationStatements: RotationStatements<TokenSubject> = {
  one: statement<TokenSubject, RotationBounds & PresentedToken>('session_rotate', rotateOneSql(subjectColumns)),
  many: statement<TokenSubject, RotationBounds & TokenColumns>('session_rotate_all', rotateManySql(subjectColumns)),
  find: findSession,
};

/** Revokes the session of a reused token. No row when it is revoked already. */
export const revokeReused = statement<{ id: string }, Omit<SessionOfToken, 'projectId' | 'attemptHash'>>(
  'session_burn',
  `update sessions set revoked_at = :now, revoke_reason = 'refresh_reuse'
   where user_id = :userId and id = :sessionId and secret_hash = :secretHash and revoked_at is null returning id`,
);
