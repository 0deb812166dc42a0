import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { type FactorRow, factorsOf, renameFactor } from '../mfa/factor.ts';
import { factorToMessage } from '../mfa/message.ts';
import { removeAllFactors } from '../mfa/remove-all-factors.ts';
import { removeFactor } from '../mfa/remove-factor.ts';
import { anyCaller, autocommit, change, projectOf, reads } from '../rpc/context.ts';
import { findUser, lockUser, type User } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { lockWithOperator } from './last-operator.ts';

export const listUserFactors: AdminMethods['listUserFactors'] = async (request, context) => {
  const { id } = await findUser(reads(context), projectOf(context), request.userId);
  return { factors: (await factorsOf(autocommit(context), id)).map(factorToMessage) };
};

export function renameUserFactor({ now }: AdminDeps): AdminMethods['renameUserFactor'] {
  return async ({ userId, factorId, friendlyName }, context) => {
    const at = now();
    const rename = async (em: EntityManager) => {
      const { id } = await lockUser(em, projectOf(context), userId.toLowerCase());
      const factors = await factorsOf(em, id);
      const factor = requireFactor(factors, factorId);
      const isPasskey = factor.type === 'passkey';
      const others = factors.filter((each) => each !== factor && (each.type === 'passkey') === isPasskey);
      if (others.some((each) => each.friendlyName === friendlyName)) throw new Refusal('FACTOR_NAME_CONFLICT');
      await renameFactor(em, id, factor.id, friendlyName);
      const action = isPasskey ? 'passkey.rename' : 'factor.rename';
      audit(em, context, { action, userId: id, entityId: factor.id }, at);
      return { ...factor, friendlyName };
    };
    return { factor: factorToMessage(await change(context, rename, { users: [userId] })) };
  };
}

export function removeUserFactors(deps: AdminDeps): AdminMethods['removeUserFactors'] {
  return async ({ userId, factorId }, context) => {
    const at = deps.now();
    const remove = async (em: EntityManager) => {
      const user = await lockWithOperator(em, context, { userId, self: 'CANNOT_REMOVE_SELF' }, at);
      // Attack: an operator with the password or the mailbox of another operator would be that operator.
      if (user.systemRole === 'operator' && anyCaller(context).kind !== 'service')
        throw new Refusal('CALLER_NOT_ALLOWED');
      const factors = await factorsOf(em, user.id);
      if (factorId !== undefined) return [await removeOne(em, deps, { user, factors, factorId }, context, at)];
      if (!(await removeAllFactors(em, user))) return [];
      await deps.factorMail.allRemoved(em, user, at);
      audit(em, context, { action: 'user.remove_factors', userId: user.id }, at);
      return factors;
    };
    const removed = await change(context, remove, { users: [userId] });
    return { factors: removed.map(factorToMessage) };
  };
}

interface One {
  readonly user: User;
  readonly factors: readonly FactorRow[];
  readonly factorId: string;
}

async function removeOne(
  em: EntityManager,
  { factorMail }: AdminDeps,
  { user, factors, factorId }: One,
  context: HandlerContext,
  at: Date,
): Promise<FactorRow> {
  const factor = requireFactor(factors, factorId);
  await removeFactor(em, user, { factor, factors });
  if (factor.verifiedAt) await factorMail.removed(em, user, factor, at);
  const action = factor.type === 'passkey' ? 'passkey.delete' : 'factor.unenroll';
  audit(em, context, { action, userId: user.id, entityId: factor.id }, at);
  return factor;
}

function requireFactor(factors: readonly FactorRow[], id: string): FactorRow {
  const factor = factors.find((each) => each.id === id.toLowerCase());
  if (!factor) throw new Refusal('FACTOR_NOT_FOUND');
  return factor;
}
