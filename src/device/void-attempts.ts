import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { auditAttempt } from './attempt.ts';
import { type AttemptKind, stepOf } from './kinds.ts';

interface Voided {
  readonly projectId: string;
  readonly userId: string;
  readonly kind: AttemptKind | null;
  readonly from: readonly string[];
  readonly to: string;
  readonly now: Date;
}

const voidAll = statement<{ id: string }, Voided>(
  'login_attempts_void',
  `update login_attempts a set state = :to, changed_at = :now
   where a.project_id = :projectId and a.user_id = :userId and a.state = any(:from::text[]) and a.expires_at > :now
     and (:kind::text is null or a.kind = :kind)
   returning a.id`,
);

/**
 * Voids the logins of devices that the user has approved and that were not redeemed, of one kind or of all. The user's row is
 * locked: a redemption is either before this, or finds its attempt denied.
 */
export async function voidAttemptsOf(
  em: EntityManager,
  context: HandlerContext,
  { projectId, userId }: { readonly projectId: string; readonly userId: string },
  kind: AttemptKind | null,
  now: Date,
): Promise<void> {
  // Of all kinds, the one with the most states in which an attempt can be canceled.
  const step = stepOf('dashboard', 'cancel');
  const voided = await voidAll(em, { projectId, userId, kind, now, ...step });
  for (const attempt of voided) auditAttempt(em, context, attempt, { action: 'device.cancel', userId }, now);
}
