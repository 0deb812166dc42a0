import type { HandlerContext } from '@connectrpc/connect';
import { type AccountSummary, readAccountSummary } from '../account/usage/account-summary.ts';
import { Refusal } from '../errors.ts';
import type { Made } from '../request-id/request-id-table.ts';
import { autocommit, origin, projectOf, reads } from '../rpc/context.ts';
import { type Renewed, renewUnusedSession } from '../session/secret-renewal.ts';
import type { Opened } from '../session/session-opener.ts';
import { refuseFor } from '../throttle/failed-attempts.ts';
import { findUser, type User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';

/** What Register shows of a registration. */
export interface Registered {
  readonly user: User;
  readonly summary: AccountSummary;
  /** The first session. */
  readonly opened?: Opened;
  /** The session that a guest goes on with, or the first session in a repeat. */
  readonly renewed?: Renewed | undefined;
}

/** What is kept of Register with a request id. Empty with HIDE_REGISTRATION. */
export interface KeptRegistration extends Made {
  readonly userId?: string;
  /** Null where the user was not signed in. */
  readonly sessionId?: string | null;
  readonly generation?: number;
}

export function keptOf({ user, opened, renewed }: Registered): Made {
  const { sessionId, generation } = (opened ?? renewed)?.refreshToken ?? { sessionId: null, generation: 0 };
  return { userId: user.id, sessionId, generation };
}

/**
 * The response of Register for a repeat. The tokens of the first response are not stored, so the session gets new ones,
 * once the password was checked, and only while the refresh token of the first response was not used.
 *
 * Throws REQUEST_ID_REUSED for another password, and USER_NOT_FOUND when the user was deleted.
 */
export async function repeatRegistration(
  deps: AuthDeps,
  { userId, sessionId, generation = 0 }: KeptRegistration,
  password: string,
  context: HandlerContext,
): Promise<Registered | undefined> {
  // The setting may have changed since the first call.
  if (!userId || deps.registration.hideRegistration) return undefined;
  const projectId = projectOf(context);
  const user = await findUser(reads(context), projectId, userId);
  const checkedHash = await requirePassword(deps, user, password, context);
  const session = sessionId && { projectId, userId, sessionId, generation, checkedHash };
  const proof = { method: 'password', origin: origin(context) };
  const renewed = session ? await renewUnusedSession(autocommit(context), session, deps.now(), proof) : undefined;
  return { user, summary: await readAccountSummary(autocommit(context), projectId, userId), renewed };
}

/** Failures count like those of SignIn: the request id is no secret, and the rest of the request may be known. */
async function requirePassword(
  { now, passwords, passwordFailures }: AuthDeps,
  { projectId, email, emailKey, passwordHash }: User,
  password: string,
  context: HandlerContext,
): Promise<string> {
  const on = autocommit(context);
  const attempt = passwordFailures.attempt(projectId, emailKey ?? email ?? '', origin(context).address);
  refuseFor(await passwordFailures.waitOf(on, attempt, now()), 'account');
  passwordFailures.requireSharedRoom(attempt);
  if (passwordHash && (await passwords.matches(passwordHash, password, context.signal))) return passwordHash;
  await passwordFailures.count(on, attempt, now(), false);
  throw new Refusal('REQUEST_ID_REUSED');
}
