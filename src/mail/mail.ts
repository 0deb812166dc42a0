import { defineEntity, p } from '@mikro-orm/postgresql';
import { projectColumn } from '../project/project.ts';

/** A dead mail was given up. A cancelled mail lost its purpose: its one-time value or invitation is no longer valid. */
export type MailState = 'queued' | 'sent' | 'dead' | 'cancelled';

const MailTable = defineEntity({
  name: 'Mail',
  tableName: 'mail_outbox',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    kind: p.string().length(32),
    recipient: p.string().length(254),
    locale: p.string().length(35),
    // The one-time value or the invitation in the mail, and the user whose value it is.
    tokenId: p.uuid().nullable(),
    userId: p.uuid().nullable(),
    sealed: p.blob().nullable().hidden(),
    state: p.string().length(16).$type<MailState>(),
    attempts: p.integer(),
    // Attempts after which the server may have accepted the mail.
    doubts: p.integer().default(0),
    fault: p.string().length(32).nullable(),
    createdAt: p.datetime(3),
    dueAt: p.datetime(3),
    endedAt: p.datetime(3).nullable(),
  },
  indexes: [
    {
      name: 'mail_outbox_due',
      properties: ['dueAt'],
      expression: `create index "mail_outbox_due" on "mail_outbox" ("due_at") where "state" = 'queued'`,
    },
    {
      name: 'mail_outbox_order',
      properties: ['recipient', 'id'],
      expression: `create index "mail_outbox_order" on "mail_outbox" ("recipient", "id") where "state" = 'queued'`,
    },
    {
      name: 'mail_outbox_domain',
      properties: ['recipient', 'dueAt'],
      expression: `create index "mail_outbox_domain" on "mail_outbox" (lower(split_part("recipient", '@', -1)), "due_at") where "state" = 'queued'`,
    },
    {
      name: 'mail_outbox_token',
      properties: ['tokenId'],
      expression: `create index "mail_outbox_token" on "mail_outbox" ("token_id") where "state" = 'queued'`,
    },
    { name: 'mail_outbox_ended', properties: ['endedAt'] },
  ],
});

/**
 * One mail of the outbox. Its variables are encrypted until it was sent and deleted then, so that the database never holds
 * a link in clear text.
 */
export class Mail extends MailTable.class {}
MailTable.setClass(Mail);

/** SQL: the recipient's domain, as `mail_outbox_domain` has it. */
export const domainOf = (mail: string) => `lower(split_part(${mail}.recipient, '@', -1))`;

/**
 * SQL that cancels the queued mails of one-time values or invitations. `ended` is a table with their ids, for example a
 * common table expression of the same statement.
 */
export const cancelMails = (ended: string, now = ':now') =>
  `update mail_outbox set state = 'cancelled', ended_at = ${now}, sealed = null
     where state = 'queued' and token_id in (select id from ${ended}) returning id`;
