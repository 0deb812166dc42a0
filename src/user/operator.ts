import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { projectColumn } from '../project/project.ts';
import { isUnbannedAt, User } from './user.ts';

const OperatorTable = defineEntity({
  name: 'Operator',
  tableName: 'operators',
  properties: {
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id').primary(),
    projectId: () => projectColumn(),
    bannedUntil: p.datetime(3).nullable(),
  },
});

/**
 * A user with the operator role who is not deleted, and until when they are banned.
 *
 * A session in which an operator acts as a user is judged by this row. So no look-up of a session reads the users row of a
 * second user.
 */
export class Operator extends OperatorTable.class {}
OperatorTable.setClass(Operator);

/** SQL: whether the user with this id is an operator who is not banned at a time. */
export const isOperatorAt = (userId: string, now = ':now') =>
  `exists (select 1 from operators o where o.user_id = ${userId} and ${isUnbannedAt('o', now)})`;

interface OperatorState {
  readonly userId: string;
  readonly projectId: string;
  readonly isOperator: boolean;
  readonly bannedUntil: Date | null;
}

const write = statement<object, OperatorState>(
  'operator_write',
  `with removed as (delete from operators where user_id = :userId and not :isOperator::boolean)
   insert into operators (user_id, project_id, banned_until)
   select :userId::uuid, :projectId::uuid, :bannedUntil::timestamptz where :isOperator::boolean
   on conflict (user_id) do update set banned_until = excluded.banned_until`,
);

/**
 * Writes the operators row of a user whose role or ban has changed, or deletes it when they are no operator. Part of the
 * transaction that has locked the user.
 */
export async function recordOperator(em: EntityManager, user: User): Promise<void> {
  const { id: userId, projectId, systemRole, bannedUntil = null, deletedAt } = user;
  await write(em, { userId, projectId, isOperator: systemRole === 'operator' && !deletedAt, bannedUntil });
}
