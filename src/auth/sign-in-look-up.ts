import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { isRevokedIndirectly, isRowLive } from '../session/session.ts';
import { newestHeld } from '../session/session-limit.ts';
import { type Attempt, columnsOf, secondsUntilRoom } from '../throttle/failed-attempts.ts';
import { type UserRow, userColumns } from '../user/user.ts';

type LookedUp = { [Column in keyof UserRow]: UserRow[Column] | null } & {
  isKnownNetwork: boolean;
  wait: number | null;
};

interface LookUpValues {
  readonly projectId: string;
  readonly emailKey: string;
  readonly network: string | null;
  readonly knownKeys: readonly string[];
  readonly unknownKeys: readonly string[];
  /** Of the keys of either network, in the same order. */
  readonly limits: readonly number[];
  readonly now: Date;
}

const lookedAt =
  's.id, s.project_id, s.session_epoch, s.address, s.impersonator_id, s.revoked_at, s.idle_expires_at, s.expires_at';

// Hot: every sign-in begins with it. It returns one row whether or not the user exists. Only the user's fifty newest
// sessions are compared, so that it is fast for everybody and its time does not reveal how many sessions there are.
const look = statement<LookedUp, LookUpValues>(
  'sign_in_look_up',
  `select ${userColumns}, session_here.found is not null as "isKnownNetwork",
     ${secondsUntilRoom('case when session_here.found then :knownKeys::text[] else :unknownKeys::text[] end', ':limits::int[]')} as wait
   from (select 1) one
   left join users u on u.project_id = :projectId and u.email_key = :emailKey and u.deleted_at is null
   left join lateral (
     select true as found from (
       select s.project_id, s.session_epoch, s.address, s.impersonator_id from ${newestHeld(lookedAt, 'u.id')} s
       where ${isRowLive('s')}
       order by s.id desc limit 50) s
     where case when s.address ~ '^[0-9a-f.:]+$' then s.address::inet <<= :network::inet and s.impersonator_id is null end
       and ${isRevokedIndirectly('s')} is not true limit 1) session_here on true`,
);

/** The user with an address, and what decides whether the password may be compared. */
export async function lookUp(on: Autocommit, attempt: Attempt, key: string, now: Date) {
  const { projectId, network, unknownNetwork, knownNetwork } = attempt;
  const { keys: unknownKeys, limits } = columnsOf(unknownNetwork.counters);
  const { keys: knownKeys } = columnsOf(knownNetwork.counters);
  const [row] = await look(on, { projectId, emailKey: key, network, knownKeys, unknownKeys, limits, now });
  const { isKnownNetwork, wait, ...user } = row!;
  return { found: user.id === null ? undefined : (user as UserRow), isKnownNetwork, wait: wait ?? 0 };
}
