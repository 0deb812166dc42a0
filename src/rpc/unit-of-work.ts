import type { ContextValues, Interceptor } from '@connectrpc/connect';
import type { MikroORM } from '@mikro-orm/postgresql';
import { auditFailure } from '../audit/event.ts';
import { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { forkFor, transact } from '../database/transaction.ts';
import { Refusal } from '../errors.ts';
import { kRemark, kWork, type Work } from './context.ts';

/**
 * One call, one unit of work: at most one transaction, begun by the method's `change` and committed at its end.
 *
 * When the method refuses, what it had changed is rolled back, and what the refusal must leave behind is committed in a
 * short transaction of its own, deadline or not: a counted failure that an impatient client could undo would not count.
 */
export function unitOfWork(orm: MikroORM, now: Clock): Interceptor {
  return (next) => async (req) => {
    req.contextValues.set(kWork, openWork(orm, req.signal, req.method.name));
    try {
      return await next(req);
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
  const { remember: leaveBehind, event } = options;
  if (!leaveBehind && !event) return;
  await transact(orm, async (em) => {
    const isNews = (await leaveBehind?.(em)) !== false;
    if (event && isNews) auditFailure(em, { values }, event, now);
    values.set(kRemark, isNews ? event?.action : undefined);
  });
}
