import { defineEntity, p } from '@mikro-orm/postgresql';
import { Project } from '../project/project.ts';

/** Queued mails wait for their turn; the others have left, will never leave, or have lost their purpose. */
export type MailState = 'queued' | 'sent' | 'dead' | 'cancelled';

const MailTable = defineEntity({
  name: 'Mail',
  tableName: 'mail_outbox',
  properties: {
    id: p.uuid().primary(),
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id'),
    kind: p.string().length(32),
    recipient: p.string().length(254),
    locale: p.string().length(35),
    tokenId: p.uuid().nullable(),
    sealed: p.blob().nullable().hidden(),
    state: p.string().length(16).$type<MailState>(),
    attempts: p.integer(),
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
      name: 'mail_outbox_token',
      properties: ['tokenId'],
      expression: `create index "mail_outbox_token" on "mail_outbox" ("token_id") where "state" = 'queued'`,
    },
    { name: 'mail_outbox_ended', properties: ['endedAt'] },
  ],
});

/**
 * One mail on its way. What it says is sealed until it has left and forgotten then, so that no link ever stands in the
 * database.
 */
export class Mail extends MailTable.class {}
MailTable.setClass(Mail);

/**
 * SQL for statements that end values or invitations, and call them `dead` and the time as named: their mails go no more,
 * and what those would have said is forgotten.
 */
export const cancelMails = (dead: string, now: string) =>
  `update mail_outbox set state = 'cancelled', ended_at = ${now}, sealed = null
     where state = 'queued' and token_id in (select id from ${dead}) returning id`;
