import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { auditFailure } from '../../audit/event.ts';
import type { Clock } from '../../database/clock.ts';
import { origin } from '../../rpc/context.ts';
import { findUser } from '../../user/user.ts';
import { findFactor } from '../factor.ts';
import type { FactorMail } from '../factor-mail.ts';

interface Owned {
  readonly projectId: string;
  readonly userId: string;
  readonly factorId: string;
}

/**
 * For `remember` of the refusal of a counter that has not grown: an audit event, and a mail to the owner. The signature was
 * right, so one of two authenticators with the same key has signed (WebAuthn Level 3, section 6.1.1).
 */
export function reportCopiedKey(
  { factorMail, now }: { factorMail: FactorMail; now: Clock },
  { projectId, userId, factorId }: Owned,
  context: HandlerContext,
): (em: EntityManager) => Promise<void> {
  return async (em) => {
    const factor = await findFactor(em, userId, factorId);
    if (!factor) return;
    const [user, at] = [await findUser(em, projectId, userId), now()];
    await factorMail.keyCopied(em, user, { factor, origin: origin(context) }, at);
    const event = { action: 'factor.copy_suspected', userId, entityId: factorId, cause: 'counter' } as const;
    auditFailure(em, context, event, at);
  };
}
