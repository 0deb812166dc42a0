import type { HandlerContext } from '@connectrpc/connect';
import type { MailedCode } from '../../gen/gatehouse/v1/auth_pb.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { Refusal } from '../errors.ts';
import { findMovingTo } from '../one-time/new-address.ts';
import type { MailedKind, OneTimeKey } from '../one-time/secret.ts';
import { autocommit, origin, projectOf } from '../rpc/context.ts';
import type { Attempt } from '../throttle/failed-attempts.ts';
import { emailKey } from '../user/email.ts';
import { findByEmail, type User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { padResponseTime } from './response-padding.ts';
import { anyClient, nobody } from './user-mail.ts';

type Deps = Pick<AuthDeps, 'codes' | 'wrongCodes' | 'now'>;

/** A code as it was typed, with the nonce of its client or in its place `anyClient`. */
type TypedIn = Pick<MailedCode, 'email' | 'code' | 'clientNonce'>;

/** The kinds of values that a code in a mail stands for. */
export type CodeKind = MailedKind;

/** A value, and its kind. */
export interface FoundValue extends OneTimeKey {
  readonly kind: CodeKind;
}

/**
 * The one-time value that a code stands for.
 *
 * Throws OTP_EXPIRED for a wrong code, for one that was tried too often or requested with another nonce, and for every
 * code of an address that has had too many wrong codes: only a registered address has codes to try, so another response
 * would reveal it. Throws OVER_REQUEST_RATE_LIMIT, without padding, when the client's network or the project has had too
 * many.
 */
export async function redeemCode(
  deps: Deps,
  typed: TypedIn,
  kinds: readonly CodeKind[],
  context: HandlerContext,
): Promise<FoundValue> {
  const { wrongCodes } = deps;
  const target = emailKey(typed.email);
  const { address } = origin(context);
  const attempt = wrongCodes.attempt(projectOf(context), target, address);
  const decoy = wrongCodes.attempt(projectOf(context), `nobody at ${target}`, address);
  // Counted before the comparison, so that parallel attempts compare no more codes than are left. The right code takes
  // its count back.
  await wrongCodes.takeShared(attempt);
  const value = await padResponseTime(() => compare(deps, { typed, kinds, attempt, decoy }, context));
  wrongCodes.giveBackShared(attempt);
  return value;
}

/** The client cannot send an empty nonce, so no code was mailed for it. */
const matchesNoCode = '';

interface Comparison {
  readonly typed: TypedIn;
  readonly kinds: readonly CodeKind[];
  /** On the typed address. */
  readonly attempt: Attempt;
  /** On no address: its counters are used when the address has no code to try. */
  readonly decoy: Attempt;
}

/**
 * Compares a code in four statements, which are the same whether or not there is a code. The order is the protection:
 * the attempt is counted on the code and on the address before any verdict, and a verdict is returned only if both had
 * room.
 */
async function compare(
  { codes, wrongCodes, now }: Deps,
  { typed, kinds, attempt, decoy }: Comparison,
  context: HandlerContext,
): Promise<FoundValue> {
  const at = now();
  const on = autocommit(context);

  // 1. The code is one of the user who has the address. An address without a user has no code.
  const user = await findByEmail(on, attempt.projectId, typed.email);
  const tries = await placesOf(
    on,
    { projectId: attempt.projectId, target: emailKey(typed.email) },
    kinds,
    user?.id ?? nobody,
  );

  // 2. While the address has had too many wrong codes, the next statement runs all the same, but finds no code.
  const isClosed = (await wrongCodes.waitOf(on, attempt, at)) > 0;
  const clientNonce = isClosed ? matchesNoCode : typed.clientNonce;

  // 3. Count the try on the code, then compare. Undefined: there is no code for this nonce, or it has no tries left.
  const about = { projectId: attempt.projectId, target: emailKey(typed.email), clientNonce, code: typed.code };
  let tried: { readonly value: OneTimeKey | undefined; readonly place: Place } | undefined;
  for (const place of tries) {
    const result = await codes.try(on, place.userId, { ...about, kind: place.kind }, at);
    if (result && !tried?.value) tried = { ...result, place };
  }

  // 4. Count the failure on the address. A client that did not request the code must not use up its counters.
  const wait = await wrongCodes.countOnAccount(on, tried ? attempt : decoy, at);

  if (tried?.value && wait === 0) return { ...tried.value, kind: tried.place.kind };
  const event = { action: 'auth.login_failed', userId: tried?.place.userId, cause: 'wrong_code' } as const;
  throw new Refusal('OTP_EXPIRED', { event });
}

/** A value that the typed code may stand for. */
interface Place {
  readonly userId: string;
  readonly kind: CodeKind;
}

/** A code for a new address is that of a user who does not have the address yet. */
async function placesOf(
  on: Autocommit,
  { projectId, target }: { projectId: string; target: string },
  kinds: readonly CodeKind[],
  userId: string,
): Promise<Place[]> {
  const moving = kinds.includes('email_change') ? await findMovingTo(on, projectId, target) : [];
  return kinds.flatMap((kind) => (kind === 'email_change' ? moving : [userId]).map((each) => ({ userId: each, kind })));
}

/**
 * The value behind a code that a signed-in user was sent, and types to confirm a change. Throws OTP_EXPIRED, also for the
 * right code after too many wrong ones.
 */
export async function tryOwnCode(
  { codes, wrongCodes, now }: Deps,
  { id, projectId, emailKey: target }: Pick<User, 'id' | 'projectId' | 'emailKey'>,
  code: string,
  context: HandlerContext,
): Promise<OneTimeKey> {
  const on = autocommit(context);
  const attempt = wrongCodes.attempt(projectId, id, origin(context).address);
  const about = { projectId, kind: 'reauthentication', target: target ?? '', clientNonce: anyClient, code } as const;
  const isClosed = (await wrongCodes.waitOf(on, attempt, now())) > 0;
  const tried = isClosed ? undefined : await codes.try(on, id, about, now());
  if (tried?.value) return tried.value;
  await wrongCodes.countOnAccount(on, attempt, now());
  throw new Refusal('OTP_EXPIRED', { event: { action: 'auth.password_change', cause: 'wrong_code' } });
}
