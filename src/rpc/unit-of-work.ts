import type { ContextValues, Interceptor } from '@connectrpc/connect';
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { Access } from '../../gen/gatehouse/v1/policy_pb.ts';
import { auditFailure } from '../audit/event.ts';
import { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { forkFor, transact } from '../database/transaction.ts';
import { Refusal } from '../errors.ts';
import { kCaller, kProject, kRemark, kWork, type Locks, type SessionOfCaller, type Work } from './context.ts';
import { policyOf } from './policy.ts';

type AnyRequest = Parameters<ReturnType<Interceptor>>[0];

interface FirstLocks {
  readonly projectId: string;
  readonly caller: SessionOfCaller | undefined;
  readonly users: readonly string[];
  readonly isForOperators: boolean;
  readonly isForEverybody: boolean;
}

/** Locks the users of a transaction. Throws a Refusal when the caller's session has ended. */
export type LockFirst = (em: EntityManager, locks: FirstLocks, now: Date) => Promise<void>;

export interface UnitOfWorkOptions {
  readonly orm: MikroORM;
  readonly now: Clock;
  readonly lockFirst: LockFirst;
}

/**
 * Gives each call one unit of work: at most one transaction, which the method's `change` begins and commits. It begins with
 * the locks of the call's users.
 *
 * A refusal rolls the transaction back. The refusal's `remember` and `event` are then committed in a short transaction
 * of their own, also after the deadline: otherwise a client could undo the count of a failed attempt by cancelling the
 * call.
 */
export function unitOfWork(options: UnitOfWorkOptions): Interceptor {
  const { orm, now } = options;
  return (next) => async (req) => {
    req.contextValues.set(kWork, openWork(options, req));
    try {
      return await next(req);
    } catch (thrown) {
      throw thrown instanceof Refusal ? await remember(orm, req.contextValues, thrown, now()) : thrown;
    }
  };
}

// Hot. A getter in this literal would give each call a hidden class of its own, which V8 keeps in the old generation, and with it
// all objects of the call until the next full collection.
function openWork({ orm, now, lockFirst }: UnitOfWorkOptions, req: AnyRequest): Work {
  const { signal } = req;
  let reading: EntityManager | undefined;
  let hasChanged = false;
  const autocommit = new Autocommit(orm, signal);
  return {
    autocommit,
    changeAlone: (send) => send(autocommit),
    reads() {
      reading ??= forkFor(orm, signal);
      return reading;
    },
    change(closure, locks) {
      if (hasChanged) throw new Error('a call has one transaction');
      hasChanged = true;
      const locked = async (em: EntityManager) => {
        await lockFirst(em, firstLocksOf(req, locks), now());
        return closure(em);
      };
      return transact(orm, locked, signal, req.method.name);
    },
  };
}

function firstLocksOf({ contextValues, method }: AnyRequest, locks: Locks = {}): FirstLocks {
  const { users = [], ignoresCaller, onBehalfOf, isForEverybody = false } = locks;
  const found = contextValues.get(kCaller);
  const isUser = !ignoresCaller && found && !(found instanceof Refusal) && found.kind === 'user';
  return {
    projectId: contextValues.get(kProject),
    caller: onBehalfOf ?? (isUser ? found : undefined),
    users,
    isForOperators: policyOf(method)?.access === Access.ADMIN,
    isForEverybody,
  };
}

/** Returns the refusal to throw. */
async function remember(orm: MikroORM, values: ContextValues, refusal: Refusal, now: Date): Promise<Refusal> {
  const { remember: keep, event } = refusal.options;
  if (!keep && !event) return refusal;
  return transact(orm, async (em) => {
    const kept = await keep?.(em);
    const isNew = kept !== false;
    if (event && isNew) auditFailure(em, { values }, event, now);
    values.set(kRemark, isNew ? event?.action : undefined);
    return kept instanceof Refusal ? kept : refusal;
  });
}
