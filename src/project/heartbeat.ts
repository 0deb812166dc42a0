import { defineEntity, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { UnconfirmedCommit } from '../database/sqlstate.ts';
import { statement } from '../database/statement.ts';

const HeartbeatTable = defineEntity({
  name: 'Heartbeat',
  tableName: 'heartbeat',
  properties: {
    id: p.smallint().primary().autoincrement(false),
    /** By the database's clock. Null before the first beat. */
    at: p.datetime(3).nullable(),
  },
});

/** The one row that the replicas write each second, so that a gap shows when the database confirmed no writes. */
export class Heartbeat extends HeartbeatTable.class {}
HeartbeatTable.setClass(Heartbeat);

const OutageTable = defineEntity({
  name: 'Outage',
  tableName: 'database_outages',
  properties: {
    startedAt: p.datetime(3).primary(),
    endedAt: p.datetime(3),
  },
  indexes: [{ name: 'database_outages_end', properties: ['endedAt'] }],
});

/** A gap between two heartbeats. Kept for a day. */
export class Outage extends OutageTable.class {}
OutageTable.setClass(Outage);

/** Read and written by the database's clock. */
interface Beat {
  readonly former: Date | null;
  readonly at: Date;
}

/** SQL: whether a heartbeat at `at` is too old at `now`. One from the future was written before that clock was set back. */
const isTooOld = (at: string, now: string) =>
  `(${at} between ${now} - interval '900 milliseconds' and ${now} + interval '900 milliseconds') is not true`;

/** SQL: whether the next heartbeat would be written. */
export const isBeatDue = `(select ${isTooOld('h.at', 'clock_timestamp()')} from heartbeat h where h.id = 1)`;

// One replica writes; the others find a row that is new enough. The clock is the database's, because a beat that waited for
// a connection or a lock must not be older than it is.
const write = statement<Beat, { ahead: number }>(
  'heartbeat',
  `with last as (
     select h.at as former, c.now as at
     from heartbeat h, (select clock_timestamp() + :ahead::float8 * interval '1 second' as now) c
     where h.id = 1 and ${isTooOld('h.at', 'c.now')}
     for no key update of h
   ), beat as (
     update heartbeat h set at = last.at from last where h.id = 1 returning last.former, h.at
   ), outage as (
     insert into database_outages (started_at, ended_at)
     select former, at from beat where at - former > interval '2 seconds'
     on conflict (started_at) do update set ended_at = excluded.ended_at
   )
   select former, at from beat`,
);

// Commits without waiting for a standby, because no standby may be there to confirm it.
const takeBack = statement<object, Beat>(
  'heartbeat_take_back',
  `update heartbeat set at = :former from (select set_config('synchronous_commit', 'local', true) as is_set) alone
   where id = 1 and at = :at and alone.is_set is not null`,
);

/**
 * Writes that the database confirms writes, and records the outage that ends with this beat. A commit that no standby
 * confirmed stands, so such a beat is taken back and fails. `ahead` moves the database's clock, for tests, in seconds.
 */
export async function beat(autocommit: Autocommit, ahead = 0): Promise<void> {
  try {
    await write(autocommit, { ahead });
  } catch (error) {
    if (error instanceof UnconfirmedCommit) for (const row of error.rows as Beat[]) await takeBack(autocommit, row);
    throw error;
  }
}

/**
 * SQL: the seconds since `from` in which the database confirmed no writes, in closed outages and in the one still open. The
 * open one is measured by the clock that wrote the heartbeat.
 */
export const secondsOfOutage = (from: string, now = ':now') =>
  `(coalesce((select sum(extract(epoch from least(o.ended_at, ${now}::timestamptz) - greatest(o.started_at, ${from})))
       from database_outages o where o.ended_at > ${from} and o.started_at < ${now}::timestamptz), 0)
     + coalesce((select greatest(0, extract(epoch from clock_timestamp() - greatest(h.at, ${from})))
       from heartbeat h where h.id = 1 and h.at < clock_timestamp() - interval '2 seconds'), 0))::float8`;
