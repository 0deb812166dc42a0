import type { MikroORM } from '@mikro-orm/postgresql';
import { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { lockIfFree, transact } from '../database/transaction.ts';
import { dayOf } from './seal.ts';

const dayMs = 86_400_000;
/** Days that have their partition before they begin. */
const ahead = 7;

const lackingDays = statement<{ day: string }>(
  'audit_days_lacking',
  `select day::text from unnest($1::date[]) as day where to_regclass('audit_events_' || to_char(day, 'YYYYMMDD')) is null`,
);

const isMisfiled = statement<{ found: boolean }>(
  'audit_misfiled',
  'select exists (select from audit_events_default) as found',
);

const hasExpired = statement<{ found: boolean }>(
  'audit_days_expired',
  `select exists (select from pg_inherits join pg_class c on c.oid = inhrelid where inhparent = 'audit_events'::regclass
     and relname ~ '^audit_events_\\d{8}$' and right(relname, 8) < to_char($1::date, 'YYYYMMDD')) as found`,
);

const refile = statement<{ days: number }>('audit_refile', 'select audit_events_refile() as days');
const addDay = statement<{ added: boolean }>('audit_add_day', 'select audit_events_add_day($1::date, null) as added');
const dropBefore = statement<{ days: number }>('audit_drop_days', 'select audit_events_drop_before($1::date) as days');

/**
 * Sees to it that each of the next days has its partition before it begins, moves events that were dated outside of all
 * of them to partitions of their own, and drops the days that are older than `retention` (days; undefined keeps all).
 *
 * Nothing fails where it has not run: the default partition takes what no other does.
 */
export async function keepPartitions(orm: MikroORM, retention: number | undefined, now: Date): Promise<void> {
  const days = Array.from({ length: ahead + 2 }, (_, index) => dayOf(new Date(now.getTime() + (index - 1) * dayMs)));
  const autocommit = new Autocommit(orm);
  if ((await isMisfiled(autocommit, []))[0]!.found) await briefly(orm, refile, []);
  for (const { day } of await lackingDays(autocommit, [days])) await briefly(orm, addDay, [day]);
  const oldest = oldestKept(retention, now);
  if (oldest && (await hasExpired(autocommit, [oldest]))[0]!.found) await briefly(orm, dropBefore, [oldest]);
}

/** The first day that is kept, or undefined when all are. */
export function oldestKept(retention: number | undefined, now: Date): string | undefined {
  return retention === undefined ? undefined : dayOf(new Date(now.getTime() - retention * dayMs));
}

/** One replica at a time. Those who write events queue behind whoever waits for the table: so it gives up soon, and comes again. */
function briefly(orm: MikroORM, change: typeof refile | typeof addDay, values: unknown[]): Promise<void> {
  return transact(orm, async (em) => {
    if (!(await lockIfFree(em, 'days'))) return;
    await em.execute(`set local lock_timeout = '500ms'`);
    await change(em, values);
  });
}
