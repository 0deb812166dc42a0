import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AuthService, SignInRequest } from '../../gen/gatehouse/v1/auth_pb.ts';
import { summaryToMessage } from '../account/message.ts';
import { type AccountSummary, accountSummaryOf } from '../account/usage/account-summary.ts';
import type { EventDraft } from '../audit/draft.ts';
import { AuditEvent, auditRow } from '../audit/event.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { insertRow, rowOf } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { readSettings } from '../project/settings.ts';
import { autocommit, change, changeAlone, clientOf, origin, projectOf } from '../rpc/context.ts';
import { kindOfClient } from '../session/message.ts';
import { Session } from '../session/session.ts';
import { heldSessions } from '../session/session-limit.ts';
import { recognizeDevice } from '../session/trusted-device.ts';
import { type CounterSet, columnsOf, refuseFor, secondsUntilRoom } from '../throttle/failed-attempts.ts';
import { secondsUntilMinute } from '../throttle/rate-limit-table.ts';
import type { SignInBudget } from '../throttle/sign-in-budget.ts';
import { emailKey } from '../user/email.ts';
import { useProvider } from '../user/identity.ts';
import { isBannedAt, lockUsers, mayActAt, type User, type UserRow } from '../user/user.ts';
import type { AuthDeps, RegistrationSettings } from './deps.ts';
import { signedInToMessage } from './message.ts';
import { enqueueNewDeviceMail } from './new-device.ts';
import { lookUp } from './sign-in-look-up.ts';
import { recipientOf } from './user-mail.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'signIn'>;

export function signIn(deps: AuthDeps): Methods {
  const { now, passwords, opener, userMail, usage, passwordSignIns } = deps;
  const open: Methods['signIn'] = async ({ kind, trustedDeviceToken: token, ...typed }, context) => {
    const { password } = typed;
    const { user, checkedHash, isKnownNetwork, counted } = await checkPassword(deps, typed, context);
    const isOutdated = passwords.isOutdated(checkedHash);
    const newHash = isOutdated ? await passwords.rehash(checkedHash, password, context.signal) : null;
    const at = now();
    const opening = { user, kind: kindOfClient(kind), method: 'password', origin: origin(context) };
    const opened = opener.draft(opening, at);
    const { session } = opened;
    // Before the transaction, since it parses the user agent and encrypts the mail.
    const mail = isKnownNetwork ? null : userMail.draftNewDevice(recipientOf(user), session, at);
    const event = auditRow(context, { action: 'auth.login', userId: user.id, sessionId: session.id }, at);
    const failures = passwordSignIns.failuresAt(clientOf(context));
    const signIn = { user, checkedHash, newHash, counted, failures, session, event, mail };
    // A statement that commits by itself saves two round trips. Only the rest needs a transaction.
    const { summary, trustedDevice } =
      (token === '' ? await recordAlone(deps, signIn, context, at) : undefined) ??
      (await change(context, async (em) => {
        const { held, summary } = await recordSignIn(em, signIn, at);
        if (held > opener.sessionsPerUser - uncountedSessions) await opener.makeRoom(em, context, session, at);
        return { summary, trustedDevice: token !== '' && (await recognizeDevice(em, session, token, at)) };
      }));
    user.lastSignInAt = at;
    const placed = { ...opened, account: summary.account };
    const account = summaryToMessage(summary, usage, at);
    return { account, trustedDevice, ...signedInToMessage(opener, user, placed, at) };
  };
  return {
    signIn: (request, context) =>
      passwordSignIns.run(clientOf(context), emailKey(request.email), async () => open(request, context)),
  };
}

/** What the client sent. */
type Typed = Pick<SignInRequest, 'email' | 'password' | 'requireVerifiedEmail'>;

/** A password that was right, before the sign-in is recorded. */
interface Checked {
  readonly user: UserRow;
  /** The stored hash that the password matched. */
  readonly checkedHash: string;
  /** Whether the user has a live session from the client's network. */
  readonly isKnownNetwork: boolean;
  /** Where a failure would have been counted. */
  readonly counted: CounterSet;
}

/**
 * The user with this address and password.
 *
 * Every path computes one hash at the current cost. Throws INVALID_CREDENTIALS for an unknown address and for a wrong
 * password alike. Throws USER_BANNED and EMAIL_NOT_VERIFIED only after the right password, and USE_OAUTH_PROVIDER for a
 * user who has identities and no password; with HIDE_REGISTRATION that is INVALID_CREDENTIALS as well. Throws OVER_REQUEST_RATE_LIMIT,
 * without a hash and for any password, while there were too many failures.
 */
async function checkPassword(
  { passwords, decoys, passwordFailures, registration, now }: AuthDeps,
  { email, password, requireVerifiedEmail }: Typed,
  context: HandlerContext,
): Promise<Checked> {
  // While the hash queue is full most sign-ins are refused, and looking each up first would slow down refreshes.
  passwords.requireRoom();
  const key = emailKey(email);
  const attempt = passwordFailures.attempt(projectOf(context), key, origin(context).address);
  const { found, isKnownNetwork, wait } = await lookUp(autocommit(context), attempt, key, now());
  refuseFor(wait, 'account');
  if (!isKnownNetwork) passwordFailures.requireSharedRoom(attempt);
  // Drawn for a registered address as well: the draw takes time.
  const decoy = decoys?.drawFor(key);
  const matches = await passwords.matches(found?.passwordHash, password, context.signal, decoy);
  const isUnreadable = !matches && found?.passwordHash != null && !passwords.isReadable(found.passwordHash);
  const check = matches ? 'right_password' : isUnreadable ? 'unreadable_hash' : 'wrong_password';
  const refusal =
    refusalOf(found, check, registration, now()) ??
    (requireVerifiedEmail ? await refusalUnverified(found!, registration, context) : undefined);
  if (refusal) {
    await passwordFailures.count(autocommit(context), attempt, now(), isKnownNetwork);
    throw refusal.reason === 'USE_OAUTH_PROVIDER' ? await namingProviders(refusal, found!.id, context) : refusal;
  }
  const counted = isKnownNetwork ? attempt.knownNetwork : attempt.unknownNetwork;
  return { user: found!, checkedHash: found!.passwordHash!, isKnownNetwork, counted };
}

function refusalOf(
  found: UserRow | undefined,
  check: 'right_password' | 'wrong_password' | 'unreadable_hash',
  { hideRegistration, requireVerifiedEmail }: RegistrationSettings,
  now: Date,
): Refusal | undefined {
  if (!found) return new Refusal('INVALID_CREDENTIALS', { event: failed('unknown_email') });
  if (found.passwordHash == null) return refusalWithoutPassword(found, hideRegistration);
  if (check !== 'right_password') return new Refusal('INVALID_CREDENTIALS', { event: failed(check, found) });
  // EMAIL_NOT_VERIFIED would reveal to somebody who has just registered the address that it was free.
  if (hideRegistration && !found.emailVerifiedAt)
    return new Refusal('INVALID_CREDENTIALS', { event: failed('email_not_verified', found) });
  if (isBannedAt(found, now)) return new Refusal('USER_BANNED', { event: failed('banned', found) });
  if (requireVerifiedEmail && !found.emailVerifiedAt)
    return new Refusal('EMAIL_NOT_VERIFIED', { event: failed('email_not_verified', found) });
  return undefined;
}

/** EMAIL_NOT_VERIFIED for a client that asks for it, unless new addresses count as verified. */
async function refusalUnverified(
  user: UserRow,
  registration: RegistrationSettings,
  context: HandlerContext,
): Promise<Refusal | undefined> {
  if (user.emailVerifiedAt) return undefined;
  const { autoConfirmEmail } = await readSettings(autocommit(context), user.projectId, registration);
  return autoConfirmEmail
    ? undefined
    : new Refusal('EMAIL_NOT_VERIFIED', { event: failed('email_not_verified', user) });
}

function refusalWithoutPassword(user: UserRow, hideRegistration: boolean): Refusal {
  const event = failed('no_password', user);
  if (hideRegistration) return new Refusal('INVALID_CREDENTIALS', { event });
  return new Refusal('USE_OAUTH_PROVIDER', { event });
}

/** With the names of the providers. INVALID_CREDENTIALS for a user who has none either: there is nothing to lead them to. */
async function namingProviders({ options }: Refusal, userId: string, context: HandlerContext): Promise<Refusal> {
  const { reason, options: named } = await useProvider(autocommit(context), userId);
  if (reason === 'PASSWORD_NOT_SET') return new Refusal('INVALID_CREDENTIALS', options);
  return new Refusal(reason, { ...options, ...named });
}

interface Recorded {
  readonly wait: number | null;
  /** Sessions of the user that are not revoked, without the new one, counted up to a bound. */
  readonly held: number;
  /** Null when the sign-in was refused. */
  readonly summary: AccountSummary | null;
}

interface RecordValues {
  readonly userId: string;
  readonly projectId: string;
  readonly checkedHash: string;
  readonly newHash: string | null;
  readonly counterKeys: readonly string[];
  readonly counterLimits: readonly number[];
  /** Of the failures from the client's address. Null without a limit. */
  readonly addressKey: string | null;
  readonly addressLimit: number | null;
  readonly clearedKeys: readonly string[];
  /** Rows as JSON. */
  readonly session: string;
  readonly event: string;
  readonly mail: string | null;
  /** Nothing is written for a user who has more sessions. Null for no bound. */
  readonly mostSessions: number | null;
  readonly now: Date;
}

// Everything that a sign-in writes and returns, in one statement.
const record = statement<Recorded, RecordValues>(
  'user_sign_in',
  `with wait as (
     select greatest(${secondsUntilRoom(':counterKeys::text[]', ':counterLimits::int[]')},
       ${secondsUntilMinute(':addressKey::text', ':addressLimit::int')}) as seconds, ${heldSessions(':userId')} as held),
   signed_in as (
     update users u set last_sign_in_at = :now, password_hash = coalesce(:newHash, u.password_hash)
     where u.id = :userId and ${mayActAt('u')} and u.password_hash in (:checkedHash, :newHash)
       and (select seconds is null and held <= coalesce(:mostSessions::int, held) from wait)
     returning u.id, u.project_id
   ), cleared as (
     delete from durable_rate_limits r using signed_in where r.project_id = signed_in.project_id and r.key = any(:clearedKeys::text[])
   ), opened as (
     ${insertRow(Session, ':session', 'signed_in')}
   ), noted as (
     ${insertRow(AuditEvent, ':event', 'signed_in')}
   ), notified as (
     ${enqueueNewDeviceMail('signed_in', { userId: ':userId', session: ':session', mail: ':mail' })}
   )
   select wait.seconds as wait, wait.held,
     case when signed_in.id is not null then ${accountSummaryOf(':userId')} end as summary from wait left join signed_in on true`,
);

interface SignIn extends Omit<Checked, 'isKnownNetwork'> {
  readonly failures: ReturnType<SignInBudget['failuresAt']>;
  /** Replaces the stored hash when that is outdated. */
  readonly newHash: string | null;
  readonly session: Session;
  /** The audit event's row. */
  readonly event: string;
  /** The row of the mail about a new device. Null when none is sent. */
  readonly mail: string | null;
}

// The count of sessions in the statement does not include those of parallel sign-ins.
const uncountedSessions = 50;

/**
 * Records a sign-in without a transaction around the statement. Undefined if nothing was written: the sign-in was refused, or
 * the user has so many sessions that some have to be revoked.
 */
async function recordAlone(
  { opener }: Pick<AuthDeps, 'opener'>,
  signIn: SignIn,
  context: HandlerContext,
  now: Date,
): Promise<{ summary: AccountSummary; trustedDevice: boolean } | undefined> {
  const mostSessions = opener.sessionsPerUser - uncountedSessions;
  if (mostSessions < 0) return undefined;
  const { summary } = await changeAlone(context, (on) => send(on, { ...signIn, mostSessions }, now));
  return summary ? { summary, trustedDevice: false } : undefined;
}

/**
 * Updates the user's row and opens the session, if the user is still as they were checked: while the hash was computed
 * they may have been banned or deleted, or the password may have been changed. A parallel sign-in that rehashed the
 * password has stored the same hash. Locks the user's row until the transaction ends.
 */
async function recordSignIn(em: EntityManager, signIn: SignIn, now: Date) {
  const { wait, held, summary } = await send(em, { ...signIn, mostSessions: null }, now);
  // Parallel attempts have used up the counters meanwhile: do not reveal that this password was right.
  refuseFor(wait ?? 0, 'account');
  if (!summary) throw await refusalMeanwhile(em, signIn);
  return { held, summary };
}

async function send(on: EntityManager | Autocommit, signIn: SignIn & { mostSessions: number | null }, now: Date) {
  const { user, checkedHash, newHash, counted, failures, session, event, mail, mostSessions } = signIn;
  const { keys: counterKeys, limits: counterLimits } = columnsOf(counted.counters);
  const [row] = await record(on, {
    userId: user.id,
    projectId: user.projectId,
    checkedHash,
    newHash,
    counterKeys,
    counterLimits,
    addressKey: failures?.key ?? null,
    addressLimit: failures?.limit ?? null,
    clearedKeys: counted.clearedKeys,
    session: rowOf(session),
    event,
    mail,
    mostSessions,
    now,
  });
  return row!;
}

/**
 * Why a user who was checked could not be signed in. With the password that is still right they are USER_BANNED, as if the
 * ban had come first: it may have been lifted since the statement that found it.
 */
async function refusalMeanwhile(em: EntityManager, { user, checkedHash, newHash }: SignIn): Promise<Refusal> {
  const present = (await lockUsers(em, user.projectId, [user.id])).get(user.id);
  const isSameHash = present?.passwordHash === checkedHash || (newHash !== null && present?.passwordHash === newHash);
  if (isSameHash) return new Refusal('USER_BANNED', { event: failed('banned', user) });
  return new Refusal('INVALID_CREDENTIALS', { event: failed('changed_meanwhile', user) });
}

function failed(cause: string, user?: Pick<User, 'id'>): EventDraft {
  return { action: 'auth.login_failed', userId: user?.id, cause };
}
