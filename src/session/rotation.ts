import type { Direct } from '../database/direct.ts';
import { statement } from '../database/prepared.ts';
import { Refusal } from '../errors.ts';
import type { TokenSubject } from './access-token.ts';
import { hashSessionSecret, type RefreshToken } from './refresh-token.ts';
import { endedAbove } from './session.ts';

/** A session whose refresh token was good, with what its next tokens say. */
export interface Rotated extends TokenSubject {
  readonly must_change_password: boolean;
  /** Whether the token had been used a moment ago. */
  readonly is_replay?: boolean;
}

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

interface Found extends Rotated {
  readonly generation: number;
  readonly same_secret: boolean;
  readonly ended: 'revoked' | 'expired' | null;
  readonly revoke_reason: string | null;
  readonly seconds_since: number;
  readonly window_seconds: number;
}

/** What tokens are made of, from a session `s` and its user `u`. */
export const subject = `s.id, s.user_id, s.aal, s.amr, u.email, u.role, u.is_anonymous, u.app_metadata, u.user_metadata,
     u.must_change_password, u.system_role, s.impersonator_id, case when s.impersonator_id is not null then s.expires_at end as expires_by`;

// Hot, and the whole of a refresh: the condition is in the write, so of any number of calls with one token one wins.
/** The statement of a refresh, by itself for who measures what the database can bear. */
export const rotationSql = `update sessions s
 set generation = s.generation + 1,
   refreshed_at = $5,
   idle_expires_at = least($5::timestamptz + s.idle_seconds * interval '1 second', s.expires_at),
   refresh_window_at = case when s.refresh_window_at <= $5::timestamptz - interval '1 minute' then $5 else s.refresh_window_at end,
   refresh_count = case when s.refresh_window_at <= $5::timestamptz - interval '1 minute' then 1 else s.refresh_count + 1 end,
   address = $6,
   user_agent = $7
 from users u
 where s.id = $1 and s.project_id = $2 and s.generation = $3 and s.secret_hash = $4
   and s.revoked_at is null and s.idle_expires_at > $5 and s.expires_at > $5
   and (s.refresh_count < $8 or s.refresh_window_at <= $5::timestamptz - interval '1 minute')
   and u.id = s.user_id and u.deleted_at is null and (u.banned_until is null or u.banned_until <= $5)
   and ${endedAbove('$5')} is not true
 returning ${subject}`;

const rotate = statement<Rotated>('session_rotate', rotationSql);

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

/**
 * Uses a refresh token: moves its session on by one generation, or finds that the token was used a moment ago and may
 * have the same successor again (a lost answer, two tabs). Either way the token's successor is the token to hand out.
 *
 * Throws REFRESH_TOKEN_INVALID, _ALREADY_USED (and ends the session, RFC 9700 section 4.14.2), _SUPERSEDED,
 * SESSION_EXPIRED, SESSION_REVOKED or OVER_REQUEST_RATE_LIMIT.
 */
export async function rotateSession(
  direct: Direct,
  presented: Presented,
  rules: RotationRules,
  now: Date,
): Promise<Rotated> {
  const { token, projectId, address, userAgent } = presented;
  const secretHash = hashSessionSecret(token.secret);
  const values = [token.sessionId, projectId, token.generation, secretHash, now, address, userAgent, rules.perMinute];
  const [fresh] = await rotate(direct, values);
  if (fresh) return fresh;
  const [found] = await find(direct, [token.sessionId, projectId, secretHash, now]);
  return judge(found, token, rules, now);
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
