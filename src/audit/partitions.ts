import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { Autocommit } from '../database/autocommit.ts';
import { lockLease } from '../database/lease.ts';
import { statement } from '../database/statement.ts';
import { transact } from '../database/transaction.ts';
import { anchorChains } from './anchor.ts';
import { dayOf } from './seal.ts';

const dayMs = 86_400_000;
/** Days whose partitions are created in advance. */
const daysAhead = 7;

const findMissingDays = statement<{ day: string }, { days: readonly string[] }>(
  'audit_days_lacking',
  `select day::text from unnest(:days::date[]) as day where to_regclass('audit_events_' || to_char(day, 'YYYYMMDD')) is null`,
);

const isMisfiled = statement<{ found: boolean }, object>(
  'audit_misfiled',
  'select exists (select 1 from audit_events_default) as found',
);

const hasExpired = statement<{ found: boolean }, { oldest: string }>(
  'audit_days_expired',
  `select exists (select 1 from pg_inherits join pg_class c on c.oid = inhrelid where inhparent = 'audit_events'::regclass
     and relname ~ '^audit_events_\\d{8}$' and right(relname, 8) < to_char(:oldest::date, 'YYYYMMDD')) as found`,
);

const refile = statement<{ days: number }, object>('audit_refile', 'select audit_events_refile() as days');

const addDay = statement<{ added: boolean }, { day: string }>(
  'audit_add_day',
  'select audit_events_add_day(:day::date, null) as added',
);

const dropBefore = statement<{ days: number }, { oldest: string }>(
  'audit_drop_days',
  'select audit_events_drop_before(:oldest::date) as days',
);

/**
 * Creates the partitions of the next days, moves events from the default partition to partitions of their days, and drops
 * the days that are older than `retention` (days; undefined keeps all).
 *
 * `holder` must have the lease; undefined for anybody. If this has not run, events are still recorded: the default partition takes those without a day of their own.
 */
export async function keepPartitions(
  orm: MikroORM,
  keys: MasterKeys,
  retention: number | undefined,
  now: Date,
  holder?: string,
): Promise<void> {
  const changeTrail = (change: (em: EntityManager) => Promise<unknown>) => changeAsHolder(orm, holder, change);
  const days = Array.from({ length: daysAhead + 2 }, (_, index) =>
    dayOf(new Date(now.getTime() + (index - 1) * dayMs)),
  );
  const autocommit = new Autocommit(orm);
  if ((await isMisfiled(autocommit, {}))[0]!.found) await changeTrail((em) => refile(em, {}));
  for (const { day } of await findMissingDays(autocommit, { days })) await changeTrail((em) => addDay(em, { day }));
  const oldest = oldestKept(retention, now);
  if (oldest && (await hasExpired(autocommit, { oldest }))[0]!.found)
    await changeTrail(async (em) => {
      await anchorChains(em, keys, oldest, now);
      await dropBefore(em, { oldest });
    });
}

/** The first day that is kept, or undefined when all are. */
function oldestKept(retention: number | undefined, now: Date): string | undefined {
  return retention === undefined ? undefined : dayOf(new Date(now.getTime() - retention * dayMs));
}

/** One replica at a time. New events queue behind a statement that waits for the table, so it waits briefly and fails. */
function changeAsHolder(
  orm: MikroORM,
  holder: string | undefined,
  change: (em: EntityManager) => Promise<unknown>,
): Promise<void> {
  return transact(orm, async (em) => {
    if (!(await lockLease(em, 'audit days', holder))) return;
    await em.execute(`set local lock_timeout = '500ms'`);
    await change(em);
  });
}
