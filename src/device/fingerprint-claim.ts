import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { endOf } from '../session/session.ts';

/** A machine, and the user who signs in on it. */
export interface Claim {
  readonly projectId: string;
  readonly fingerprintId: string;
  readonly userId: string;
}

// No flag is stored: a fingerprint is claimed exactly while a live session carries it.
const findHolder = statement<{ id: string }, Claim & { readonly now: Date }>(
  'fingerprint_holder',
  `select s.id from sessions s join users u on u.id = s.user_id
   where s.project_id = :projectId and s.fingerprint_id = :fingerprintId and s.revoked_at is null
     and s.user_id <> :userId and (${endOf('s', 'u')}) is null
   limit 1`,
);

/** Whether another user has a live session on this machine. */
export async function isClaimedByAnother(em: EntityManager, claim: Claim, now: Date): Promise<boolean> {
  const rows = await findHolder(em, { ...claim, now });
  return rows.length > 0;
}

const hold = statement<{ held: boolean }, { key: string }>(
  'fingerprint_hold',
  'select pg_advisory_xact_lock(hashtextextended(:key, 0)) is null as held',
);

/**
 * Keeps other redemptions from claiming this machine until the transaction ends. Race: two users whose logins were confirmed
 * before either had a session would otherwise both receive one.
 */
export async function holdFingerprint(em: EntityManager, { projectId, fingerprintId }: Claim): Promise<void> {
  await hold(em, { key: `gatehouse fingerprint ${projectId} ${fingerprintId}` });
}
