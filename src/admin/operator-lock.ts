import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { type Reason, Refusal } from '../errors.ts';
import { kCaller, projectOf } from '../rpc/context.ts';
import { lockUser, lockUsers, type User } from '../user/user.ts';

interface Target {
  readonly userId: string;
  /** What operators are told who do it to themselves, where they may not. */
  readonly self: Reason | undefined;
}

/**
 * The user, locked, and with them the operator who calls, who must still be one: of two who take the role from each other,
 * ban or delete each other at once one is left. Throws CALLER_NOT_ALLOWED to who is none any more.
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
