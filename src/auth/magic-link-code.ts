import type { HandlerContext } from '@connectrpc/connect';
import type { MailedCode } from '../../gen/gatehouse/v1/auth_pb.ts';
import { Refusal } from '../errors.ts';
import type { Presented } from '../one-time/token.ts';
import { autocommit, origin, projectOf } from '../rpc/context.ts';
import type { Guess } from '../throttle/failed-attempts.ts';
import { emailKey } from '../user/email.ts';
import type { AuthDeps } from './deps.ts';
import { padResponseTime } from './response-padding.ts';

type Deps = Pick<AuthDeps, 'codes' | 'wrongCodes' | 'now'>;

/**
 * The value that the code stands for.
 *
 * Throws OTP_EXPIRED for a wrong code, one that was tried too often or not asked for with this nonce, and likewise while
 * the address has had too many wrong ones: only of an address that is known there are codes to be tried, so that any other
 * answer would tell. Throws OVER_REQUEST_RATE_LIMIT, at once, while there are too many from the network or in the project.
 */
export async function redeemCode(deps: Deps, typed: MailedCode, context: HandlerContext): Promise<Presented> {
  const { wrongCodes } = deps;
  const guess = wrongCodes.of(projectOf(context), emailKey(typed.email), origin(context).address);
  // Every code takes its share before it is compared, and a right one gives it back: of any number at once no more are
  // compared than are left.
  await wrongCodes.takeOfStrangers(guess);
  const value = await padResponseTime(() => compare(deps, guess, typed, context));
  wrongCodes.giveBack(guess);
  return value;
}

// The statements are the same whether or not there is a code to be tried. Counted is before anything is told.
async function compare({ codes, wrongCodes, now }: Deps, guess: Guess, typed: MailedCode, context: HandlerContext) {
  const { projectId } = guess;
  const target = emailKey(typed.email);
  const at = now();
  const on = autocommit(context);
  const isClosed = (await wrongCodes.waitOf(on, guess, at)) > 0;
  const clientNonce = isClosed ? '' : typed.clientNonce;
  const about = { projectId, kind: 'magic_link', target, clientNonce, code: typed.code } as const;
  const tried = await codes.try(on, about, at);
  // Whoever did not ask for a code has none to try, and must not use up the tries of who did.
  const counted = tried ? guess : wrongCodes.of(projectId, `nobody at ${target}`, origin(context).address);
  const wait = await wrongCodes.countOnAccount(on, counted, counted.strangers, at);
  if (tried?.hash && wait === 0) return { hash: tried.hash };
  const event = { action: 'auth.login_failed', userId: tried?.userId, cause: 'wrong_code' } as const;
  throw new Refusal('OTP_EXPIRED', { event });
}
