import type { ContextValues, Interceptor } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import { auditFailure } from '../audit/event.ts';
import { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { leavingSilently } from '../database/pool-queue.ts';
import { forkFor, transact } from '../database/transaction.ts';
import { Refusal } from '../errors.ts';
import { kRemark, kWork, type Work } from './context.ts';

/**
 * Gives each call one unit of work: at most one transaction, which the method's `change` begins and commits.
 *
 * A refusal rolls the transaction back. The refusal's `remember` and `event` are then committed in a short transaction
 * of their own, also after the deadline: otherwise a client could undo the count of a failed attempt by cancelling the
 * call.
 */
export function unitOfWork(orm: MikroORM, now: Clock): Interceptor {
  return (next) => async (req) => {
    req.contextValues.set(kWork, openWork(orm, req.signal, req.method.name));
    try {
      return await leavingSilently(req.signal, () => next(req));
    } catch (thrown) {
      if (thrown instanceof Refusal) await remember(orm, req.contextValues, thrown, now());
      throw thrown;
    }
  };
}

function openWork(orm: MikroORM, signal: AbortSignal, method: string): Work {
  let reading: Work['reads'] | undefined;
  let hasChanged = false;
  return {
    autocommit: new Autocommit(orm, signal),
    get reads() {
      reading ??= forkFor(orm, signal);
      return reading;
    },
    change(closure) {
      if (hasChanged) throw new Error('a call has one transaction');
      hasChanged = true;
      return transact(orm, closure, signal, method);
    },
  };
}

async function remember(orm: MikroORM, values: ContextValues, { options }: Refusal, now: Date): Promise<void> {
  const { remember: keep, event } = options;
  if (!keep && !event) return;
  await transact(orm, async (em) => {
    const isNew = (await keep?.(em)) !== false;
    if (event && isNew) auditFailure(em, { values }, event, now);
    values.set(kRemark, isNew ? event?.action : undefined);
  });
}
