import type { EntityManager } from '@mikro-orm/postgresql';
import { insertRow, rowOf } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { Mail } from '../mail/mail.ts';
import { Session } from '../session/session.ts';

/** The parameters of a statement that opens a session: the user's id, the session and the mail, both as rows. */
interface Places {
  readonly user: string;
  readonly session: string;
  readonly mail: string;
}

/**
 * SQL that enqueues the mail about a new device along with the session that is being opened, after `opened` has decided
 * that it is. A device is new when its user has had a session, and none that is still kept, ended or not, came from the
 * same address or named the same program. So the first sign-in is silent, and of two first ones at once each may be. A
 * sign-in from where the user has a live session is not asked about.
 */
export const tellOfNewDevice = (opened: string, { user, session, mail }: Places) =>
  `${insertRow(Mail, mail, opened)}
     where ${mail}::jsonb is not null and exists (${ownSessions(user)}) and not exists (
       ${ownSessions(user)} and (k.address = ${session}::jsonb->>'address'
         or k.user_agent = nullif(${session}::jsonb->>'user_agent', '')))`;

// What an operator did in the user's name is no device of theirs.
const ownSessions = (user: string) =>
  `select 1 from sessions k where k.user_id = ${user} and k.impersonator_id is null`;

const open = statement<{ id: string }>(
  'session_open_and_tell',
  `with opened as (
     ${insertRow(Session, '$2')} returning id
   ), told as (
     ${tellOfNewDevice('opened', { user: '$1', session: '$2', mail: '$3' })}
   )
   select id from opened`,
);

/** Inserts a session and, when it is on a new device, the mail that tells its user. Null where there is no mail. */
export async function openAndTell(em: EntityManager, session: Session, notice: string | null): Promise<void> {
  await open(em, [session.userId, rowOf(session), notice]);
}
