import type { HandlerContext } from '@connectrpc/connect';
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import { rowOf } from '../database/insert.ts';
import { uuidv7 } from '../database/uuid.ts';
import { projectColumn } from '../project/project.ts';
import { kCaller, kOrigin, kProject } from '../rpc/context.ts';
import { type Action, type EntityType, type EventDraft, entityOf } from './draft.ts';

const AuditEventTable = defineEntity({
  name: 'AuditEvent',
  tableName: 'audit_events',
  properties: {
    // Without a foreign key: dropping a day of the trail would lock the projects, and every sign-in with them.
    projectId: () => projectColumn().primary(),
    at: p.datetime(3).primary(),
    id: p.uuid().primary(),
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
    // Empty in the events of releases before there were entities.
    entityType: p.string().length(32).default(''),
    entityId: p.string().length(64).nullable(),
  },
  indexes: [{ name: 'audit_events_user', properties: ['projectId', 'userId', 'at', 'id'] }],
  triggers: [
    {
      name: 'audit_events_append_only',
      timing: 'before',
      events: ['update', 'delete'],
      forEach: 'statement',
      body: `raise exception 'audit events are never changed' using errcode = '42501';`,
    },
    {
      name: 'audit_events_queue',
      timing: 'after',
      events: ['insert'],
      forEach: 'row',
      body: 'insert into audit_unsealed (id, project_id, at) values (new.id, new.project_id, new.at); return null;',
    },
  ],
});

/**
 * One security event. A trigger refuses to change or delete it. The table has a partition for each day, and old days are
 * dropped whole (partitions.ts); another trigger queues each row for its seal (seal.ts).
 */
export class AuditEvent extends AuditEventTable.class {}
AuditEventTable.setClass(AuditEvent);

/** Adds the row of a successful action to the call's transaction: it is committed if and only if the action is. */
export function audit(em: EntityManager, context: HandlerContext, draft: EventDraft, now: Date): void {
  em.persist(compose(context, draft, 'SUCCESS', now));
}

/** The same row, for a statement that inserts it together with the action. */
export function auditRow(context: HandlerContext, draft: EventDraft, now: Date): string {
  return rowOf(compose(context, draft, 'SUCCESS', now));
}

/** Adds the row of a refused action. The unit of work writes it after the call's rollback. */
export function auditFailure(
  em: EntityManager,
  context: Pick<HandlerContext, 'values'>,
  draft: EventDraft,
  now: Date,
): void {
  em.persist(compose(context, draft, 'FAILURE', now));
}

/** Actions whose success proves that a caller without an access token is the user concerned. */
const proving: ReadonlySet<Action> = new Set([
  'auth.register',
  'auth.sign_up_anonymous',
  'auth.login',
  'auth.logout',
  'session.evicted',
  'auth.password_reset.complete',
  'auth.email_verified',
  'auth.email_change.complete',
  'device.claim',
  'device.redeem',
  'api_key.create',
] as const);

function compose({ values }: Pick<HandlerContext, 'values'>, draft: EventDraft, result: string, now: Date): AuditEvent {
  const found = values.get(kCaller);
  const caller = found instanceof Error ? undefined : found;
  const provedId = !caller && result === 'SUCCESS' && proving.has(draft.action) ? draft.userId : undefined;
  const callerId = caller?.kind === 'user' ? (caller.impersonatorId ?? caller.userId) : (caller?.name ?? provedId);
  const projectId = values.get(kProject);
  const userId = draft.userId ?? (caller?.kind === 'user' ? caller.userId : null);
  const sessionId = draft.sessionId ?? (caller?.kind === 'user' && !caller.apiKey ? caller.sessionId : null);
  const entityType = entityOf[draft.action];
  const known: Partial<Record<EntityType, string | null>> = { user: userId, session: sessionId, project: projectId };
  const event = new AuditEvent();
  return Object.assign(event, {
    id: uuidv7(now),
    projectId,
    at: now,
    action: draft.action,
    result,
    cause: draft.cause ?? null,
    actorKind: caller?.kind ?? (provedId ? 'user' : 'anyone'),
    actorId: callerId ?? null,
    userId,
    sessionId,
    entityType,
    entityId: draft.entityId ?? known[entityType] ?? null,
    ...values.get(kOrigin),
  });
}
