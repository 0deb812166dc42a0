import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { ActorKind, AuditResult, type ListAuditEventsRequest } from '../../gen/gatehouse/v1/admin_pb.ts';
import { type EventFilter, type FoundEvent, listEvents, type Position } from '../audit/list.ts';
import { autocommit, projectOf } from '../rpc/context.ts';
import { plainAddress } from '../text/plain-address.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { timeRangeOf } from './time-range.ts';

const sizes = { usual: 100, most: 500 };

export function listAuditEvents({ now, paging }: AdminDeps): AdminMethods['listAuditEvents'] {
  return async (request, context) => {
    const { after, limit, tokenFor } = paging.open(context, request, sizes);
    const { events, next } = await listEvents(autocommit(context), projectOf(context), filterOf(request), {
      after: after === undefined ? undefined : readPosition(after),
      limit,
      now: now(),
    });
    return { events: events.map(toMessage), nextPageToken: next ? tokenFor(writePosition(next)) : '' };
  };
}

/** Neither a time nor an id holds a space. */
function writePosition({ at, id }: Position): string {
  return `${at} ${id}`;
}

function readPosition(text: string): Position {
  const [at, id] = text.split(' ');
  return { at: at!, id: id! };
}

function filterOf(request: ListAuditEventsRequest): EventFilter {
  const { userId, sessionId, action, actorId, address, result, entityType, entityId } = request;
  return {
    userId: userId?.toLowerCase(),
    sessionId: sessionId?.toLowerCase(),
    action: action || undefined,
    actorId: actorId || undefined,
    address: address && plainAddress(address),
    result: results[result as keyof typeof results],
    entityType: entityType || undefined,
    entityId: entityId || undefined,
    ...timeRangeOf(request),
  };
}

const results = {
  [AuditResult.UNSPECIFIED]: undefined,
  [AuditResult.SUCCESS]: 'SUCCESS',
  [AuditResult.FAILURE]: 'FAILURE',
} as const satisfies Record<number, EventFilter['result']>;

const actorKinds: Readonly<Record<string, ActorKind>> = {
  user: ActorKind.USER,
  service: ActorKind.SERVICE,
  anyone: ActorKind.UNAUTHENTICATED,
};

function toMessage(event: FoundEvent) {
  return {
    id: event.id,
    time: timestampFromDate(new Date(event.at)),
    action: event.action,
    result: event.result === 'SUCCESS' ? AuditResult.SUCCESS : AuditResult.FAILURE,
    cause: event.cause ?? '',
    actorKind: actorKinds[event.actor_kind]!,
    actorId: event.actor_id ?? '',
    userId: event.user_id ?? '',
    sessionId: event.session_id ?? '',
    address: event.address,
    userAgent: event.user_agent,
    requestId: event.request_id,
    entityType: event.entity_type,
    entityId: event.entity_id ?? '',
  };
}
