import type { HandlerContext } from '@connectrpc/connect';
import type { EventDraft } from '../audit/draft.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { autocommit, origin, projectOf } from '../rpc/context.ts';
import { endedAbove } from '../session/session.ts';
import { type Guess, type Lane, refuseFor, waitOf } from '../throttle/failed-attempts.ts';
import { emailKey } from '../user/email.ts';
import { isBannedAt, type User, type UserRow, userColumns, userOf } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';

interface Credentials {
  readonly email: string;
  readonly password: string;
}

/** Whose password it was, and where failures would have counted. */
export interface Checked {
  readonly user: User;
  /** Whether it came from where the user has a session. */
  readonly isKnown: boolean;
  readonly lane: Lane;
}

/**
 * The user whose address and password these are.
 *
 * Every path costs one hash at the current cost. Throws INVALID_CREDENTIALS for an unknown address and a wrong password
 * alike, and USER_BANNED and EMAIL_NOT_VERIFIED only to who has proved to be that user. A user without a password is
 * told USE_OAUTH_PROVIDER, or with HIDE_REGISTRATION the same as everybody. Who guesses too often is told
 * OVER_REQUEST_RATE_LIMIT, without a hash, whatever the password.
 */
export async function checkPassword(
  context: HandlerContext,
  { passwords, passwordFailures, now, ...rules }: AuthDeps,
  { email, password }: Credentials,
): Promise<Checked> {
  // In a storm most are refused, and each look-up for them would be paid by those who only refresh.
  passwords.requireRoom();
  const key = emailKey(email);
  const guess = passwordFailures.of(projectOf(context), key, origin(context).address);
  const { found, isKnown, wait } = await lookUp(autocommit(context), guess, key, now());
  refuseFor(wait, 'account');
  if (!isKnown) passwordFailures.requireCalm(guess);
  const matches = await passwords.matches(found?.passwordHash, password, context.signal);
  const refusal = refusalOf(found, matches, rules, now());
  if (refusal) {
    await passwordFailures.count(autocommit(context), guess, isKnown, now());
    throw refusal;
  }
  return { user: userOf(found!), isKnown, lane: isKnown ? guess.known : guess.strangers };
}

function refusalOf(
  found: UserRow | undefined,
  matches: boolean,
  { hideRegistration, requireVerifiedEmail }: Pick<AuthDeps, 'hideRegistration' | 'requireVerifiedEmail'>,
  now: Date,
): Refusal | undefined {
  if (!found) return new Refusal('INVALID_CREDENTIALS', { event: failed('unknown_email') });
  if (found.passwordHash == null) return withoutPassword(found, hideRegistration);
  if (!matches) return new Refusal('INVALID_CREDENTIALS', { event: failed('wrong_password', found) });
  // Whoever has registered an address a moment ago would learn by it that the address was free.
  if (hideRegistration && !found.emailVerifiedAt)
    return new Refusal('INVALID_CREDENTIALS', { event: failed('email_not_verified', found) });
  if (isBannedAt(found, now)) return new Refusal('USER_BANNED', { event: failed('banned', found) });
  if (requireVerifiedEmail && !found.emailVerifiedAt)
    return new Refusal('EMAIL_NOT_VERIFIED', { event: failed('email_not_verified', found) });
  return undefined;
}

function withoutPassword(user: UserRow, isHidden: boolean): Refusal {
  const event = failed('no_password', user);
  if (isHidden) return new Refusal('INVALID_CREDENTIALS', { event });
  return new Refusal('USE_OAUTH_PROVIDER', { event, metadata: { providers: '' } });
}

type Looked = { [Column in keyof UserRow]: UserRow[Column] | null } & { isKnown: boolean; wait: number | null };

// Hot: the look-up of every sign-in. It has one row, whether there is a user or not. Of their sessions only the newest
// fifty are looked at: it must not take long, and not tell by its time how many there are.
const look = statement<Looked>(
  'sign_in_look_up',
  `select ${userColumns}, known.yes is not null as "isKnown",
     ${waitOf('$1', 'case when known.yes then $5::text[] else $4::text[] end', '$6::int[]', '$7')} as wait
   from (select) one
   left join users u on u.project_id = $1 and u.email_key = $2 and u.deleted_at is null
   left join lateral (
     select true as yes from (
       select * from sessions where user_id = u.id and revoked_at is null and idle_expires_at > $7 and expires_at > $7
       order by id desc limit 50) s
     where case when s.address ~ '^[0-9a-f.:]+$' then s.address::inet <<= $3::inet and s.impersonator_id is null end
       and ${endedAbove('$7')} is not true limit 1) known on true`,
);

async function lookUp(on: Autocommit, guess: Guess, email: string, now: Date) {
  const { projectId, network, strangers, known } = guess;
  const [row] = await look(on, [projectId, email, network, strangers.keys, known.keys, strangers.limits, now]);
  const { isKnown, wait, ...user } = row!;
  return { found: user.id === null ? undefined : (user as UserRow), isKnown, wait: wait ?? 0 };
}

export function failed(cause: string, user?: Pick<User, 'id'>): EventDraft {
  return { action: 'auth.login_failed', userId: user?.id, cause };
}
