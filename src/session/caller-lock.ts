import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { anyOf, statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { currentEpoch } from '../project/project.ts';
import { autocommit, caller, type SessionOfCaller } from '../rpc/context.ts';
import {
  lockUsers,
  noteLocked,
  storedUserColumns,
  type User,
  type UserRow,
  userColumnsOf,
  userOf,
} from '../user/user.ts';
import { endOf } from './session.ts';

/** What a transaction of a call locks before its first other statement. */
export interface FirstLocks {
  readonly projectId: string;
  /** The user whose session has to be live. Undefined for backends, and for calls without an access token. */
  readonly caller: SessionOfCaller | undefined;
  /** Further users. */
  readonly users: readonly string[];
  /** The caller has to have the operator role still. */
  readonly isForOperators: boolean;
  /** The transaction revokes the sessions of everybody in the project. */
  readonly isForEverybody: boolean;
}

interface Locking {
  readonly projectId: string;
  readonly ids: readonly string[];
  readonly userId: string;
  readonly sessionId: string;
  /** Of the caller's access token. */
  readonly tokenEpoch: number;
  readonly now: Date;
}

/**
 * SQL: why a token of this epoch is refused by the session `s`, which is otherwise live, or null. A renewal supersedes the
 * calls that are under way with older tokens too.
 */
const supersedes = (s: string) => `case when ${s}.token_epoch <> :tokenEpoch then 'superseded' end`;

/**
 * A revocation of everybody's sessions waits for the transactions that share the project's lock, and they for it. The lock is
 * an advisory one: into the project's row each of them would write.
 */
type ProjectLock = 'none' | 'shared' | 'exclusive';

const epochUnder = (lock: ProjectLock) =>
  lock === 'none' ? currentEpoch(':projectId') : `hold_project(:projectId::uuid, ${lock === 'exclusive'})`;

/**
 * SQL of three common table expressions. `held` has the rows of the users with these ids, locked in the order of their ids, and
 * `project` the epoch of the project. `own` has one row with the state of the caller's session, and none without a session.
 * For statements with the parameters userId, sessionId, projectId, tokenEpoch and now.
 *
 * Race: a revocation holds the lock on the user's row, and this statement waits for it with the snapshot of its start. The
 * lock on the session makes PostgreSQL read its newest version, and `hold_project` reads the epoch behind its lock. They are
 * taken after the locks of all users, hence the count: of two transactions that lock users and sessions in another order,
 * each could wait for the other. Only a hot statement goes without the lock on the project.
 */
export const holdCaller = (ids: string, lock: ProjectLock = 'shared') =>
  `held as materialized (
     select ${storedUserColumns} from users u where u.id = ${ids} and u.project_id = :projectId
     order by u.id for no key update of u
   ), project as materialized (
     select ${epochUnder(lock)} as session_epoch from (select count(*) as users from held) counted where counted.users > 0
   ), own as materialized (
     select coalesce(${endOf('s', 'o', ':now', 'project.session_epoch')}, ${supersedes('s')}, 'live') as state
     from project, held o, sessions s
     where o.id = :userId and s.user_id = :userId and s.id = :sessionId
     for no key update of s
   )`;

/** The state of a caller's session under the locks. */
export type HeldState = 'live' | 'revoked' | 'expired' | 'superseded';

const lockWithSession = (name: string, lock: ProjectLock) =>
  statement<UserRow & { state: HeldState | null }, Locking>(
    name,
    `with ${holdCaller(anyOf(':ids'), lock)}
     select ${userColumnsOf('h')}, own.state from held h left join own on true order by h.id`,
  );

const lockCaller = lockWithSession('caller_lock', 'shared');
const lockCallerAndProject = lockWithSession('caller_lock_project', 'exclusive');

/**
 * Locks the rows of the caller and of further users, in the order of their ids, and checks the caller's session under that
 * lock. Every revocation of sessions takes the same locks: after it has committed, no transaction of a revoked session
 * writes anything.
 *
 * Throws SESSION_REVOKED or SESSION_EXPIRED when the session is no longer live, TOKEN_SUPERSEDED when it was renewed, and
 * CALLER_NOT_ALLOWED when the caller has to be an operator and no longer is one.
 */
export async function lockFirst(em: EntityManager, locks: FirstLocks, now: Date): Promise<void> {
  const { caller, projectId, users, isForOperators, isForEverybody } = locks;
  if (!caller) {
    if (users.length > 0) await lockUsers(em, projectId, users);
    return;
  }
  const { userId, sessionId, tokenEpoch } = caller;
  const ids = [...new Set([userId, ...users.map((id) => id.toLowerCase())])];
  const lock = isForEverybody ? lockCallerAndProject : lockCaller;
  const rows = await lock(em, { projectId, ids, userId, sessionId, tokenEpoch, now });
  const own = rows.find(({ id }) => id === userId);
  requireLive(own?.state);
  if (isForOperators && own?.systemRole !== 'operator') throw new Refusal('CALLER_NOT_ALLOWED');
  noteLocked(em, ids, rows);
}

/** Throws SESSION_REVOKED, SESSION_EXPIRED or TOKEN_SUPERSEDED unless the session is live and its token current. */
export function requireLive(state: HeldState | null | undefined): void {
  if (state !== 'live') throw refusalOfEnd(state ?? 'revoked');
}

export type SessionEnd = Exclude<HeldState, 'live'>;

const reasons = { revoked: 'SESSION_REVOKED', expired: 'SESSION_EXPIRED', superseded: 'TOKEN_SUPERSEDED' } as const;

function refusalOfEnd(ended: SessionEnd): Refusal {
  return new Refusal(reasons[ended]);
}

const readUser = statement<UserRow & { ended: SessionEnd | null }, Omit<Locking, 'ids'>>(
  'caller_user',
  `select ${userColumnsOf('u')}, coalesce(${endOf('s', 'u')}, ${supersedes('s')}) as ended
   from users u join sessions s on s.user_id = :userId and s.id = :sessionId
   where u.id = :userId and u.project_id = :projectId`,
);

/**
 * The user who calls, together with the end of their session: a user that a revoked session reads, and a refusal that
 * follows from it, could be newer than the revocation. Throws SESSION_REVOKED, SESSION_EXPIRED or TOKEN_SUPERSEDED.
 */
export async function readCallingUser(context: HandlerContext, now: Date): Promise<User> {
  const { projectId, userId, sessionId, tokenEpoch } = caller(context);
  const [row] = await readUser(autocommit(context), { projectId, userId, sessionId, tokenEpoch, now });
  if (!row || row.ended) throw refusalOfEnd(row?.ended ?? 'revoked');
  const { ended: _, ...user } = row;
  return userOf(user);
}
