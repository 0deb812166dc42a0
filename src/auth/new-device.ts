import type { EntityManager } from '@mikro-orm/postgresql';
import { insertRow, rowOf } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { Mail } from '../mail/mail.ts';
import { Session } from '../session/session.ts';

/** The names of a statement's parameters: the user's id, and the rows of the session and the mail as JSON. */
interface Parameters {
  readonly userId: string;
  readonly session: string;
  readonly mail: string;
}

/**
 * SQL: enqueues the mail about a new device when the table `opened` has a row, that is, when the statement opens the
 * session.
 *
 * A device is new when the user has had sessions and none of the newest that are still stored, live or not, has the same
 * address or the same user agent. So the first sign-in sends no mail, and neither do two parallel first ones. A sign-in from a network
 * where the user has a live session skips the question: its mail is null.
 */
export const enqueueNewDeviceMail = (opened: string, { userId, session, mail }: Parameters) =>
  `${insertRow(Mail, mail, opened)}
     where ${mail}::jsonb is not null and exists (${ownSessions(userId)}) and not exists (
       ${ownSessions(userId)} and (k.address = ${session}::jsonb->>'address'
         or k.user_agent = nullif(${session}::jsonb->>'user_agent', '')))`;

const compared = 200;

// Sessions in which an operator acted as the user are not on the user's devices. Only the newest are compared: a user may
// have hundreds of thousands that are revoked or expired and not deleted yet.
const ownSessions = (userId: string) =>
  `select 1 from (
       select address, user_agent, impersonator_id from sessions where user_id = ${userId} order by id desc limit ${compared}) k
     where k.impersonator_id is null`;

const open = statement<{ id: string }, { userId: string; session: string; mail: string | null }>(
  'session_open_and_notify',
  `with opened as (
     ${insertRow(Session, ':session')} returning id
   ), notified as (
     ${enqueueNewDeviceMail('opened', { userId: ':userId', session: ':session', mail: ':mail' })}
   )
   select id from opened`,
);

/** Inserts a session and, when it is on a new device, the mail about it. The mail is null where none is sent. */
export async function openAndNotify(em: EntityManager, session: Session, mail: string | null): Promise<void> {
  await open(em, { userId: session.userId, session: rowOf(session), mail });
}
