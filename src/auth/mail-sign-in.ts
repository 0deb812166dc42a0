import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { firstProof } from './first-proof.ts';
import { openSignIn } from './open-sign-in.ts';

interface MailSignIn {
  readonly user: User;
  readonly kind: 'web' | 'native';
  /** The `amr` name. */
  readonly method: 'otp' | 'magiclink' | 'recovery';
}

/**
 * Opens a session at AAL1 for a user who has read the mail to their address, whatever factors they have. The caller has used
 * the one-time value up and holds the lock of the user's row.
 */
export async function signInByMail(
  em: EntityManager,
  deps: AuthDeps,
  { user, kind, method }: MailSignIn,
  context: HandlerContext,
  now: Date,
) {
  await firstProof(em, deps, { user }, context, now);
  return openSignIn(em, deps, { user, kind, method }, context, now);
}
