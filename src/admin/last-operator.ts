import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { type Reason, Refusal } from '../errors.ts';
import { kCaller, projectOf } from '../rpc/context.ts';
import { lockUser, lockUsers, type User } from '../user/user.ts';

interface Target {
  readonly userId: string;
  /** Refuses operators who name themselves. Undefined where they may. */
  readonly self: Reason | undefined;
}

/**
 * Locks the user and the operator who calls, and throws CALLER_NOT_ALLOWED when the caller is no operator any more. So an
 * installation keeps its last operator: operators cannot demote, ban or delete themselves, and of two who do it to each
 * other in parallel one is refused.
 */
export async function lockWithOperator(
  em: EntityManager,
  context: HandlerContext,
  { userId, self }: Target,
  now: Date,
): Promise<User> {
  const caller = context.values.get(kCaller);
  const projectId = projectOf(context);
  const id = userId.toLowerCase();
  if (caller instanceof Error || caller?.kind !== 'user') return lockUser(em, projectId, id);
  if (self && caller.userId === id) throw new Refusal(self);
  const locked = await lockUsers(em, projectId, [id, caller.userId]);
  const operator = locked.get(caller.userId);
  if (operator?.systemRole !== 'operator' || operator.isBanned(now)) throw new Refusal('CALLER_NOT_ALLOWED');
  const user = locked.get(id);
  if (!user) throw new Refusal('USER_NOT_FOUND');
  return user;
}
