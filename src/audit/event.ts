import type { HandlerContext } from '@connectrpc/connect';
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import { rowOf } from '../database/insert.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Project } from '../project/project.ts';
import { kCaller, kOrigin, kProject } from '../rpc/context.ts';
import type { EventDraft } from './draft.ts';

const AuditEventTable = defineEntity({
  name: 'AuditEvent',
  tableName: 'audit_events',
  properties: {
    id: p.uuid().primary(),
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id'),
    at: p.datetime(3),
    action: p.string().length(64),
    result: p.string().length(16),
    cause: p.string().length(64).nullable(),
    actorKind: p.string().length(16),
    actorId: p.string().length(64).nullable(),
    userId: p.uuid().nullable(),
    sessionId: p.uuid().nullable(),
    address: p.string().length(64),
    userAgent: p.string().length(512),
    requestId: p.string().length(64),
  },
  indexes: [{ name: 'audit_events_user', properties: ['projectId', 'userId', 'id'] }],
  triggers: [
    {
      name: 'audit_events_append_only',
      timing: 'before',
      events: ['update', 'delete'],
      forEach: 'statement',
      body: `raise exception 'audit events are never changed' using errcode = '42501';`,
    },
  ],
});

/** One security event. Never changed and never deleted: a trigger refuses both. */
export class AuditEvent extends AuditEventTable.class {}
AuditEventTable.setClass(AuditEvent);

/** Adds the row of something that was done to the call's transaction: it stands exactly if the deed stands. */
export function audit(em: EntityManager, context: HandlerContext, draft: EventDraft, now: Date): void {
  em.persist(compose(context, draft, 'SUCCESS', now));
}

/** The same row, for a statement that inserts it along with the deed. */
export function auditRow(em: EntityManager, context: HandlerContext, draft: EventDraft, now: Date): string {
  return rowOf(em, compose(context, draft, 'SUCCESS', now));
}

/** Adds the row of something that was refused. The unit of work writes it after the call's rollback. */
export function auditFailure(
  em: EntityManager,
  context: Pick<HandlerContext, 'values'>,
  draft: EventDraft,
  now: Date,
): void {
  em.persist(compose(context, draft, 'FAILURE', now));
}

function compose({ values }: Pick<HandlerContext, 'values'>, draft: EventDraft, result: string, now: Date): AuditEvent {
  const found = values.get(kCaller);
  const caller = found instanceof Error ? undefined : found;
  const callerId = caller?.kind === 'user' ? caller.userId : caller?.name;
  const event = new AuditEvent();
  return Object.assign(event, {
    id: uuidv7(now),
    projectId: values.get(kProject),
    at: now,
    action: draft.action,
    result,
    cause: draft.cause ?? null,
    actorKind: caller?.kind ?? 'anyone',
    actorId: callerId ?? null,
    userId: draft.userId ?? (caller?.kind === 'user' ? caller.userId : null),
    sessionId: draft.sessionId ?? (caller?.kind === 'user' ? caller.sessionId : null),
    ...values.get(kOrigin),
  });
}
