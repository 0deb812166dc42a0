import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { Coalescer, unlessInConflict } from '../database/coalesce.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { type Rotated, rotate, rotateAll, subject } from './refresh-statements.ts';
import { hashSessionSecret, type RefreshToken } from './refresh-token.ts';
import { endedAbove } from './session.ts';
import { SessionMutex } from './session-mutex.ts';

export interface RotationRules {
  /** Seconds in which a token that was just used may be used again. */
  readonly reuseInterval: number;
  /** Refreshes a session may make in a minute. */
  readonly perMinute: number;
}

interface Presented {
  readonly token: RefreshToken;
  readonly projectId: string;
  readonly address: string;
  readonly userAgent: string;
}

interface Candidate {
  readonly sessionId: string;
  /** As the statements want them: session, project, generation, hash, address and program. */
  readonly values: readonly unknown[];
  readonly signal: AbortSignal | undefined;
}

interface Found extends Rotated {
  readonly generation: number;
  readonly same_secret: boolean;
  readonly ended: 'revoked' | 'expired' | null;
  readonly revoke_reason: string | null;
  readonly seconds_since: number;
  readonly window_seconds: number;
}

const find = statement<Found>(
  'session_refreshed',
  `select ${subject}, true as is_replay, s.generation, s.secret_hash = $3 as same_secret, s.revoke_reason,
     case when s.revoked_at is not null or u.deleted_at is not null or u.banned_until > $4 or ${endedAbove('$4')} then 'revoked'
          when s.idle_expires_at <= $4 or s.expires_at <= $4 then 'expired' end as ended,
     extract(epoch from $4::timestamptz - s.refreshed_at)::float8 as seconds_since,
     extract(epoch from $4::timestamptz - s.refresh_window_at)::float8 as window_seconds
   from sessions s join users u on u.id = s.user_id
   where s.id = $1 and s.project_id = $2`,
);

const burn = statement<{ id: string }>(
  'session_burn',
  `update sessions set revoked_at = $3, revoke_reason = 'refresh_reuse'
   where id = $1 and secret_hash = $2 and revoked_at is null returning id`,
);

/** Uses refresh tokens. */
export class Rotations {
  readonly #rules: RotationRules;
  readonly #now: Clock;
  readonly #turns = new SessionMutex();
  readonly #batch: Coalescer<Candidate, Rotated | undefined>;

  /** For how many milliseconds batches wait for each other is the batch's business, except in tests. */
  constructor(autocommit: Autocommit, rules: RotationRules, now: Clock, patience?: number) {
    this.#rules = rules;
    this.#now = now;
    this.#batch = new Coalescer<Candidate, Rotated | undefined>((all) => this.#rotateAll(autocommit, all), patience);
  }

  /**
   * Moves the token's session on by one generation, or finds that the token was used a moment ago and may have the same
   * successor again (a lost answer, two tabs). Either way the token's successor is the token to hand out.
   *
   * Throws REFRESH_TOKEN_INVALID, _ALREADY_USED (and ends the session, RFC 9700 section 4.14.2), _SUPERSEDED,
   * SESSION_EXPIRED, SESSION_REVOKED or OVER_REQUEST_RATE_LIMIT.
   */
  use(autocommit: Autocommit, presented: Presented): Promise<Rotated> {
    return this.#turns.take(presented.token.sessionId, () => this.#use(autocommit, presented));
  }

  async #use(autocommit: Autocommit, presented: Presented): Promise<Rotated> {
    const { token, projectId } = presented;
    const secretHash = hashSessionSecret(token.secret);
    const values = [token.sessionId, projectId, token.generation, secretHash, presented.address, presented.userAgent];
    const now = this.#now();
    const fresh = await this.#batch.take(
      { sessionId: token.sessionId, values, signal: autocommit.signal },
      async () => {
        const [row] = await rotate(autocommit, [now, this.#rules.perMinute, ...values]);
        return row;
      },
    );
    if (fresh) return fresh;
    const [found] = await find(autocommit, [token.sessionId, projectId, secretHash, now]);
    return judge(found, token, this.#rules, now);
  }

  async #rotateAll(autocommit: Autocommit, all: readonly Candidate[]): Promise<Map<Candidate, Rotated>> {
    const bySession = new Map(all.filter(isStaying).map((each) => [each.sessionId, each]));
    if (bySession.size === 0) return new Map();
    const rows = await unlessInConflict(() =>
      rotateAll(autocommit, () => {
        // A call that left while the statement waited for its connection was answered DEADLINE_EXCEEDED.
        const staying = [...bySession.values()].filter(isStaying);
        const columns = all[0]!.values.map((_, n) => staying.map(({ values }) => values[n]));
        return [this.#now(), this.#rules.perMinute, ...columns];
      }),
    );
    return new Map(rows?.map((row) => [bySession.get(row.id)!, row]));
  }
}

function isStaying({ signal }: Candidate): boolean {
  return !signal?.aborted;
}

/** Why the rotation did not happen. Answers only for a replay that is allowed. */
function judge(found: Found | undefined, token: RefreshToken, rules: RotationRules, now: Date): Rotated {
  if (!found || token.generation > found.generation) throw new Refusal('REFRESH_TOKEN_INVALID');
  const age = found.generation - token.generation;
  if (found.ended) throw new Refusal(reasonOfEnd(found, age));
  if (!found.same_secret) throw new Refusal('REFRESH_TOKEN_SUPERSEDED');
  // Another replica's clock may be ahead; an interval of 0 is none all the same.
  if (age === 1 && Math.max(0, found.seconds_since) < rules.reuseInterval) return found;
  if (age > 0) throw reuse(found, token, now);
  // The token is the current one of a live session, so only its budget can have kept it from rotating.
  throw new Refusal('OVER_REQUEST_RATE_LIMIT', { retryAfter: Math.max(1, Math.ceil(60 - found.window_seconds)) });
}

function reasonOfEnd({ ended, revoke_reason, same_secret }: Found, age: number) {
  if (ended === 'expired') return 'SESSION_EXPIRED';
  return revoke_reason === 'refresh_reuse' && same_secret && age > 0 ? 'REFRESH_TOKEN_ALREADY_USED' : 'SESSION_REVOKED';
}

// Two parties hold tokens of one session and one of them is a thief: nobody can tell which, so the session ends for both.
function reuse(found: Found, token: RefreshToken, now: Date): Refusal {
  return new Refusal('REFRESH_TOKEN_ALREADY_USED', {
    remember: async (em) => (await burn(em, [found.id, hashSessionSecret(token.secret), now])).length > 0,
    event: { action: 'auth.refresh_reuse', userId: found.user_id, sessionId: found.id },
  });
}
