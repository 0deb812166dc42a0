import type { HandlerContext } from '@connectrpc/connect';
import type { MailedCode } from '../../gen/gatehouse/v1/auth_pb.ts';
import { Refusal } from '../errors.ts';
import type { Presented } from '../one-time/token.ts';
import { autocommit, origin, projectOf } from '../rpc/context.ts';
import type { Attempt } from '../throttle/failed-attempts.ts';
import { emailKey } from '../user/email.ts';
import { findByEmail } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { padResponseTime } from './response-padding.ts';
import { nobody } from './user-mail.ts';

type Deps = Pick<AuthDeps, 'codes' | 'wrongCodes' | 'now'>;

/**
 * The one-time value that a code stands for.
 *
 * Throws OTP_EXPIRED for a wrong code, for one that was tried too often or requested with another nonce, and for every
 * code of an address that has had too many wrong codes: only a registered address has codes to try, so another response
 * would reveal it. Throws OVER_REQUEST_RATE_LIMIT, without padding, when the client's network or the project has had too
 * many.
 */
export async function redeemCode(deps: Deps, typed: MailedCode, context: HandlerContext): Promise<Presented> {
  const { wrongCodes } = deps;
  const target = emailKey(typed.email);
  const { address } = origin(context);
  const attempt = wrongCodes.attempt(projectOf(context), target, address);
  const decoy = wrongCodes.attempt(projectOf(context), `nobody at ${target}`, address);
  // Counted before the comparison, so that parallel attempts compare no more codes than are left. The right code takes
  // its count back.
  await wrongCodes.takeShared(attempt);
  const value = await padResponseTime(() => compare(deps, { typed, attempt, decoy }, context));
  wrongCodes.giveBackShared(attempt);
  return value;
}

/** The client cannot send an empty nonce, so no code was mailed for it. */
const matchesNoCode = '';

interface Comparison {
  readonly typed: MailedCode;
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
  { typed, attempt, decoy }: Comparison,
  context: HandlerContext,
): Promise<Presented> {
  const at = now();
  const on = autocommit(context);

  // 1. The code is one of the user who has the address. An address without a user has no code.
  const user = await findByEmail(on, attempt.projectId, typed.email);
  const userId = user?.id ?? nobody;

  // 2. While the address has had too many wrong codes, the next statement runs all the same, but finds no code.
  const isClosed = (await wrongCodes.waitOf(on, attempt, at)) > 0;
  const clientNonce = isClosed ? matchesNoCode : typed.clientNonce;

  // 3. Count the try on the code, then compare. Undefined: there is no code for this nonce, or it has no tries left.
  const about = { projectId: attempt.projectId, kind: 'magic_link', target: emailKey(typed.email) } as const;
  const tried = await codes.try(on, userId, { ...about, clientNonce, code: typed.code }, at);

  // 4. Count the failure on the address. A client that did not request the code must not use up its counters.
  const wait = await wrongCodes.countOnAccount(on, tried ? attempt : decoy, at);

  if (tried?.value && wait === 0) return tried.value;
  const event = { action: 'auth.login_failed', userId: tried && userId, cause: 'wrong_code' } as const;
  throw new Refusal('OTP_EXPIRED', { event });
}
