import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import type { OneTimeKind } from './secret.ts';
import { isNotVoid, isPending } from './token.ts';

const newestOf = statement<{ isUsed: boolean }, { userId: string; kind: OneTimeKind }>(
  'one_time_newest',
  `select t.used_at is not null as "isUsed" from one_time_tokens t
   where t.user_id = :userId and t.kind = :kind and ${isNotVoid('t')} order by t.id desc limit 1`,
);

/** Whether the newest value of a kind, voided ones aside, was used. */
export async function isNewestUsed(em: EntityManager, userId: string, kind: OneTimeKind): Promise<boolean> {
  const [row] = await newestOf(em, { userId, kind });
  return row?.isUsed ?? false;
}

// An attacker can have codes sent to any address, and must not use up the attempts on the owner's code.
const mostHolders = 3;

const holders = statement<{ user_id: string }, { projectId: string; target: string }>(
  'one_time_holders_of_new_address',
  `select t.user_id from one_time_tokens t
   where t.project_id = :projectId and t.target = :target and t.kind = 'email_change' and ${isPending('t')}
     and t.code_hash is not null
   order by t.id desc limit ${mostHolders}`,
);

/** The users who were last sent a code to this address in order to change to it, the last one first. */
export async function findMovingTo(on: Autocommit, projectId: string, target: string): Promise<string[]> {
  return (await holders(on, { projectId, target })).map((each) => each.user_id);
}
