import type { EntityManager } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import type { OneTimeKind } from './secret.ts';
import { isNotVoid, isPending } from './token.ts';

interface Mover {
  readonly id: string;
  readonly projectId: string;
}

interface Consent {
  readonly kind: OneTimeKind;
  /** As emailKey spells it. */
  readonly newAddress: string;
}

const newestOf = statement<{ isUsed: boolean }, Consent & { projectId: string; userId: string }>(
  'one_time_newest',
  `select t.used_at is not null as "isUsed" from one_time_tokens t
   where t.project_id = :projectId and t.user_id = :userId and t.kind = :kind and t.flow->>'newAddress' = :newAddress
     and ${isNotVoid('t')} order by t.id desc limit 1`,
);

/** Whether the newest value of a kind for this change of address, voided ones aside, was used. */
export async function hasConsented(
  em: EntityManager,
  { id: userId, projectId }: Mover,
  consent: Consent,
): Promise<boolean> {
  const [row] = await newestOf(em, { projectId, userId, ...consent });
  return row?.isUsed ?? false;
}

const forget = statement<{ id: string }, { projectId: string; userId: string }>(
  'one_time_forget_consents',
  `update one_time_tokens t set flow = t.flow - 'newAddress'
   where t.project_id = :projectId and t.user_id = :userId and t.kind in ('email_change', 'email_change_approval')
     and t.flow ? 'newAddress'
   returning t.id`,
);

/** Forgets what the used values consented to: a later change needs new ones, also to the same address. */
export async function forgetConsents(em: EntityManager, { id: userId, projectId }: Mover): Promise<void> {
  await forget(em, { projectId, userId });
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
