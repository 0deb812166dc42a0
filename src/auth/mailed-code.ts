import type { HandlerContext } from '@connectrpc/connect';
import type { MailedCode } from '../../gen/gatehouse/v1/auth_pb.ts';
import { Refusal } from '../errors.ts';
import type { Presented } from '../one-time/one-time-token.ts';
import { direct, origin, projectOf } from '../rpc/context.ts';
import { emailKey } from '../user/email.ts';
import type { AuthDeps } from './deps.ts';
import { answerEvenly } from './even-answer.ts';

type Deps = Pick<AuthDeps, 'codes' | 'codeGuesses' | 'now'>;

/**
 * The value that the code stands for.
 *
 * Throws OTP_EXPIRED for a wrong code, one that was tried too often or not asked for with this nonce, and likewise while
 * the address has had too many wrong ones: only of an address that is known there are codes to be tried, so that any other
 * answer would tell. Throws OVER_REQUEST_RATE_LIMIT while there are too many from the network or in the project.
 */
export function redeemCode(deps: Deps, typed: MailedCode, context: HandlerContext): Promise<Presented> {
  return answerEvenly(() => redeem(deps, typed, context));
}

async function redeem({ codes, codeGuesses, now }: Deps, typed: MailedCode, context: HandlerContext) {
  const { code, clientNonce } = typed;
  const projectId = projectOf(context);
  const target = emailKey(typed.email);
  const guess = codeGuesses.of(projectId, target, origin(context).address);
  codeGuesses.requireCalm(guess);
  const at = now();
  const on = direct(context);
  const mayBeTried = await codeGuesses.hasRoom(on, guess, at);
  const about = { projectId, kind: 'magic_link', target, clientNonce, code } as const;
  const tried = mayBeTried ? await codes.try(on, about, at) : undefined;
  if (tried?.hash) return { hash: tried.hash };
  // Whoever did not ask for a code has none to try, and must not use up the tries of who did.
  if (tried) await codeGuesses.countOnAccount(on, guess, guess.strangers, at);
  await codeGuesses.countOfStrangers(guess);
  throw codeRefused(tried?.userId);
}

export function codeRefused(userId?: string): Refusal {
  return new Refusal('OTP_EXPIRED', { event: { action: 'auth.login_failed', userId, cause: 'wrong_code' } });
}
