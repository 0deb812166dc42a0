import { anyOf, statement } from '../database/statement.ts';
import type { TokenSubject } from './access-token.ts';
import { endedAbove } from './session.ts';

/** A session whose refresh token was good, with what its next tokens say. */
export interface Rotated extends TokenSubject {
  readonly must_change_password: boolean;
  /** Whether the token had been used a moment ago. */
  readonly is_replay?: boolean;
}

/** What tokens are made of, from a session `s` and its user `u`. */
export const subject = `s.id, s.user_id, s.aal, s.amr, u.email, u.role, u.is_anonymous, u.app_metadata, u.user_metadata,
     u.must_change_password, u.system_role, s.impersonator_id, case when s.impersonator_id is not null then s.expires_at end as expires_by`;

interface Values {
  readonly id: string;
  readonly project: string;
  readonly generation: string;
  readonly hash: string;
  readonly address: string;
  readonly userAgent: string;
}

/** What a refresh does to session `s`, its condition in the write: of any number of calls with one token one wins. */
const rotation = ({ id, project, generation, hash, address, userAgent }: Values) => ({
  set: `generation = s.generation + 1,
   refreshed_at = $1,
   idle_expires_at = least($1::timestamptz + s.idle_seconds * interval '1 second', s.expires_at),
   refresh_window_at = case when s.refresh_window_at <= $1::timestamptz - interval '1 minute' then $1 else s.refresh_window_at end,
   refresh_count = case when s.refresh_window_at <= $1::timestamptz - interval '1 minute' then 1 else s.refresh_count + 1 end,
   address = ${address},
   user_agent = ${userAgent}`,
  where: `s.id = ${id} and s.project_id = ${project} and s.generation = ${generation} and s.secret_hash = ${hash}
   and s.revoked_at is null and s.idle_expires_at > $1 and s.expires_at > $1
   and (s.refresh_count < $2 or s.refresh_window_at <= $1::timestamptz - interval '1 minute')
   and u.id = s.user_id and u.deleted_at is null and (u.banned_until is null or u.banned_until <= $1)
   and ${endedAbove('$1')} is not true`,
});

const one = rotation({ id: '$3', project: '$4', generation: '$5', hash: '$6', address: '$7', userAgent: '$8' });

/** Hot, and the whole of a refresh. Exported as text for the bench, which measures what the database can bear. */
export const rotationSql = `update sessions s
 set ${one.set}
 from users u
 where ${one.where}
 returning ${subject}`;

export const rotate = statement<Rotated>('session_rotate', rotationSql);

const each = rotation({
  id: 'p.id',
  project: 'p.project_id',
  generation: 'p.generation',
  hash: 'p.secret_hash',
  address: 'p.address',
  userAgent: 'p.user_agent',
});

// Hot: many at once. It passes over rows that are locked, so no session holds up others, and no two of these each other.
export const rotateAll = statement<Rotated>(
  'session_rotate_all',
  `with presented as (
   select * from unnest((select $3::uuid[]), $4::uuid[], $5::int[], $6::bytea[], $7::text[], $8::text[])
     as p (id, project_id, generation, secret_hash, address, user_agent)
 ), free as (
   select id from sessions where id = ${anyOf('$3')} for no key update skip locked
 )
 update sessions s
 set ${each.set}
 from users u, presented p, free
 where free.id = p.id and ${each.where}
 returning ${subject}`,
);
