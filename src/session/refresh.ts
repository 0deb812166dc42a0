import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import type { RefreshResponseSchema, SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { Coalescer, unlessInConflict } from '../database/coalesce.ts';
import { faultOf } from '../database/sqlstate.ts';
import { Refusal } from '../errors.ts';
import { autocommit, origin, projectOf, remark } from '../rpc/context.ts';
import { lockUsers } from '../user/user.ts';
import type { TokenSubject } from './access-token.ts';
import {
  columnsOf,
  findSession,
  type NotRotated,
  type NotRotatedState,
  type PresentedToken,
  type RotationStatements,
  revokeReused,
  rotationStatements,
} from './refresh-statements.ts';
import { hashAttemptId, hashSessionSecret, readRefreshToken, successorOf } from './refresh-token.ts';
import type { SessionOpener } from './session-opener.ts';

export interface RotationRules {
  /** Seconds after a refresh in which the token that it used may be used again. */
  readonly reuseInterval: number;
  /** Refreshes of one session per minute. Undefined for no limit. */
  readonly perMinute: number | undefined;
  /** Whether the interval stands still while the database confirms no writes. */
  readonly heartbeat?: boolean;
}

/** The user in a response of Refresh, whom the statement of the rotation reads as well. */
export interface RefreshedUser<Row extends TokenSubject> {
  readonly statements: RotationStatements<Row>;
  readonly toMessage: (row: Row, now: Date) => Pick<MessageInitShape<typeof RefreshResponseSchema>, 'user' | 'factors'>;
}

interface RefreshDeps<WithUser extends TokenSubject> {
  readonly now: Clock;
  readonly keys: MasterKeys;
  readonly opener: SessionOpener;
  readonly shared: Autocommit;
  readonly rotationRules: RotationRules;
  readonly refreshedUser: RefreshedUser<WithUser>;
}

/** Exchanges a refresh token for its successor and a new access token. */
export function refreshMethod<WithUser extends TokenSubject>(deps: RefreshDeps<WithUser>) {
  const { now, keys, opener, shared, rotationRules: rules, refreshedUser } = deps;
  const mutex = new SessionMutex();
  const rotation = new TokenRotation({ statements: rotationStatements, mutex, shared, rules, now });
  const withUser = new TokenRotation({ statements: refreshedUser.statements, mutex, shared, rules, now });
  return {
    async refresh({ refreshToken, attemptId, includeUser }, context) {
      const projectId = projectOf(context);
      const token = readRefreshToken(keys, projectId, refreshToken);
      if (!token) throw new Refusal('REFRESH_TOKEN_INVALID');
      const { address, userAgent } = origin(context);
      const { userId, sessionId, generation } = token;
      const secretHash = hashSessionSecret(token.secret);
      const attemptHash = attemptId === '' ? null : hashAttemptId(attemptId);
      const presented = { userId, sessionId, projectId, generation, secretHash, attemptHash, address, userAgent };
      const respond = ({ subject, isReplay }: Rotated<TokenSubject>) => {
        if (isReplay) remark(context, 'replayed');
        // No call has to read the user with the new token: the response has them if the client wants them.
        return opener.tokensFor(subject, projectId, successorOf(token), now(), { isReadNext: false });
      };
      if (!includeUser) return { tokens: respond(await rotation.rotate(autocommit(context), presented)) };
      const rotated = await withUser.rotate(autocommit(context), presented);
      return { tokens: respond(rotated), ...refreshedUser.toMessage(rotated.subject, now()) };
    },
  } satisfies Partial<ServiceImpl<typeof SessionService>>;
}

/** What the response of a rotation is made of. */
interface Rotated<Row extends TokenSubject> {
  readonly subject: Row;
  /** The token was used a moment ago, and this call gets the same successor. */
  readonly isReplay: boolean;
}

/** A token that waits for a statement. */
interface Candidate extends PresentedToken {
  readonly signal: AbortSignal | undefined;
}

const unlimited = 2 ** 31 - 1;

interface RotationParts<Row extends TokenSubject> {
  readonly statements: RotationStatements<Row>;
  /** Of all rotations of the same sessions. */
  readonly mutex?: SessionMutex;
  readonly shared: Autocommit;
  readonly rules: RotationRules;
  readonly now: Clock;
  /** The Coalescer's, and given by tests only. */
  readonly patience?: number;
}

/** Rotates refresh tokens. */
export class TokenRotation<Row extends TokenSubject> {
  readonly #statements: RotationStatements<Row>;
  readonly #reuseInterval: number;
  readonly #heartbeat: boolean;
  readonly #perMinute: number;
  readonly #now: Clock;
  readonly #mutex: SessionMutex;
  readonly #coalescer: Coalescer<Candidate, Row | undefined>;

  constructor({ statements, mutex = new SessionMutex(), shared, rules, now, patience }: RotationParts<Row>) {
    const { reuseInterval, perMinute = unlimited, heartbeat = false } = rules;
    this.#statements = statements;
    this.#mutex = mutex;
    this.#reuseInterval = reuseInterval;
    this.#heartbeat = heartbeat;
    this.#perMinute = perMinute;
    this.#now = now;
    this.#coalescer = new Coalescer<Candidate, Row | undefined>(
      (candidates) => this.#rotateMany(shared, candidates),
      patience,
    );
  }

  /**
   * Moves the token's session on by one generation, or finds that the token was used by the same attempt (a lost
   * response) or within the reuse interval (two tabs). In both cases the token's successor is the token to return.
   *
   * Throws REFRESH_TOKEN_INVALID, _ALREADY_USED (and revokes the session, RFC 9700 section 4.14.2), _SUPERSEDED,
   * SESSION_EXPIRED, SESSION_REVOKED or OVER_REQUEST_RATE_LIMIT.
   */
  rotate(autocommit: Autocommit, presented: PresentedToken): Promise<Rotated<Row>> {
    return this.#mutex.run(presented.sessionId, () => this.#rotate(autocommit, presented));
  }

  async #rotate(autocommit: Autocommit, presented: PresentedToken): Promise<Rotated<Row>> {
    const now = this.#now();
    const subject = await this.#coalescer.take({ ...presented, signal: autocommit.signal }, async () => {
      const [row] = await this.#statements.one(autocommit, { now, perMinute: this.#perMinute, ...presented });
      return row;
    });
    if (subject) return { subject, isReplay: false };
    const [session] = await this.#statements.find(autocommit, { now, ...presented });
    const rules = { reuseInterval: this.#reuseInterval, heartbeat: this.#heartbeat };
    return { subject: judge(session, presented, rules, now), isReplay: true };
  }

  async #rotateMany(shared: Autocommit, all: readonly Candidate[]): Promise<Map<Candidate, Row>> {
    const bySession = new Map(all.filter(isWaiting).map((each) => [each.sessionId, each]));
    if (bySession.size === 0) return new Map();
    const rows = await unlessInConflict(() =>
      this.#statements.many(shared, () => {
        // A call that was aborted while the statement waited for its connection has failed with DEADLINE_EXCEEDED.
        const columns = columnsOf([...bySession.values()].filter(isWaiting));
        return { now: this.#now(), perMinute: this.#perMinute, ...columns };
      }),
    );
    return new Map(rows?.map((row) => [bySession.get(row.id)!, row]));
  }
}

function isWaiting({ signal }: Candidate): boolean {
  return !signal?.aborted;
}

/** Why the rotation did not happen. Returns only for a replay that is allowed. */
function judge<Row extends TokenSubject>(
  session: NotRotated<Row> | undefined,
  presented: PresentedToken,
  { reuseInterval, heartbeat }: Pick<Required<RotationRules>, 'reuseInterval' | 'heartbeat'>,
  now: Date,
): Row {
  if (!session || presented.generation > session.generation) throw new Refusal('REFRESH_TOKEN_INVALID');
  const age = session.generation - presented.generation;
  if (session.ended) throw new Refusal(reasonOfEnd(session, age));
  if (!session.same_secret) throw new Refusal('REFRESH_TOKEN_SUPERSEDED');
  // A thief of the token does not know the attempt id. Age 1 means that the successor was never used.
  if (age === 1 && session.same_attempt) return session;
  // The clock of the replica that refreshed may be ahead: a negative age counts as 0, so an interval of 0 allows no replay.
  const elapsed = session.seconds_since_refresh - (heartbeat ? session.seconds_of_outage : 0);
  if (age === 1 && Math.max(0, elapsed) < reuseInterval) return session;
  if (age > 0) throw reuse(presented, now);
  // The current token of a live session: only the session's budget can have kept it from rotating.
  throw new Refusal('OVER_REQUEST_RATE_LIMIT', { retryAfter: Math.max(1, Math.ceil(60 - session.seconds_of_window)) });
}

function reasonOfEnd({ ended, revoke_reason, same_secret }: NotRotatedState, age: number) {
  if (ended === 'expired') return 'SESSION_EXPIRED';
  return revoke_reason === 'refresh_reuse' && same_secret && age > 0 ? 'REFRESH_TOKEN_ALREADY_USED' : 'SESSION_REVOKED';
}

// Two parties hold tokens of one session. One of them is a thief, and nothing shows which, so the session is revoked.
function reuse(presented: PresentedToken, now: Date): Refusal {
  const { userId, sessionId, projectId } = presented;
  return new Refusal('REFRESH_TOKEN_ALREADY_USED', {
    remember: async (em) => {
      await lockUsers(em, projectId, [userId]);
      const burned = await revokeReused(em, { ...presented, now });
      return burned.length > 0 || judgeEnded((await findSession(em, { ...presented, now }))[0]);
    },
    event: { action: 'auth.refresh_reuse', userId, sessionId },
  });
}

/**
 * The session was revoked, or its secret was replaced, after the reuse was found. False when another call has revoked it
 * for a reuse of this secret, and recorded that.
 */
function judgeEnded(session: NotRotated | undefined): Refusal | false {
  if (!session) return new Refusal('REFRESH_TOKEN_INVALID');
  if (!session.same_secret) return new Refusal(session.ended ? 'SESSION_REVOKED' : 'REFRESH_TOKEN_SUPERSEDED');
  return session.revoke_reason === 'refresh_reuse' ? false : new Refusal('SESSION_REVOKED');
}

/**
 * Runs the refreshes of one session one after the other.
 *
 * A statement that waits for the lock of a row holds a connection, so a hundred refreshes of one session would leave no
 * connection for other sessions. Here all but the first wait in memory. When the first fails because the row stays locked
 * or the database is down, those behind it fail at once: each of them would wait as long again.
 */
class SessionMutex {
  readonly #last = new Map<string, Promise<unknown>>();

  run<T>(sessionId: string, work: () => Promise<T>): Promise<T> {
    const mine = this.#last.get(sessionId)?.then(work) ?? work();
    const done = mine.then(() => {}, throwOutage);
    this.#last.set(sessionId, done);
    const leave = (): void => {
      if (this.#last.get(sessionId) === done) this.#last.delete(sessionId);
    };
    done.then(leave, leave);
    return mine;
  }
}

function throwOutage(error: unknown): void {
  if (faultOf(error) === 'unavailable') throw error;
}
