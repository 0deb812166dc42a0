import { type Timestamp, timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService, ListAuditEventsRequest } from '../../gen/gatehouse/v1/admin_pb.ts';
import { type EventFilter, type FoundEvent, listEvents } from '../audit/list.ts';
import { Refusal } from '../errors.ts';
import { autocommit, projectOf } from '../rpc/context.ts';
import { readPageToken, uuidPattern, writePageToken } from '../rpc/page-token.ts';

const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const firstSecond = -62_135_596_800;
const lastSecond = 253_402_300_799;

/** A time as positions have it, and one that there is: PostgreSQL takes neither a 30th of February nor a year 0. */
export const timeOfPosition = {
  test(text: string): boolean {
    const time = new Date(text);
    return timePattern.test(text) && time.getTime() >= firstSecond * 1000 && time.toISOString() === text;
  },
};

export function auditMethods() {
  return {
    async listAuditEvents(request, context) {
      const filter = filterOf(request);
      const bound = ['audit', filter.userId, filter.action, filter.from, filter.until];
      const [at, id] = request.pageToken ? readPageToken(request.pageToken, bound, [timeOfPosition, uuidPattern]) : [];
      const after = at && id ? { at, id } : undefined;
      const { events, next } = await listEvents(autocommit(context), projectOf(context), filter, {
        after,
        limit: request.pageSize || 100,
      });
      return {
        events: events.map(toMessage),
        nextPageToken: next ? writePageToken(bound, [next.at, next.id]) : '',
      };
    },
  } satisfies Partial<ServiceImpl<typeof AdminService>>;
}

function filterOf({ userId, action, startTime, endTime }: ListAuditEventsRequest): EventFilter {
  return {
    userId: userId?.toLowerCase(),
    action: action || undefined,
    from: readTime('start_time', startTime),
    until: readTime('end_time', endTime),
  };
}

/** What no calendar has is refused: over gRPC a time may hold any numbers. */
export function readTime(field: string, time: Timestamp | undefined): Date | undefined {
  if (!time) return undefined;
  const { seconds, nanos } = time;
  if (seconds < firstSecond || seconds > lastSecond || nanos < 0 || nanos > 999_999_999)
    throw new Refusal('INVALID_ARGUMENT', { fields: [{ field, description: 'must be between the years 1 and 9999' }] });
  return timestampDate(time);
}

function toMessage(event: FoundEvent) {
  return {
    id: event.id,
    time: timestampFromDate(new Date(event.at)),
    action: event.action,
    result: event.result,
    cause: event.cause ?? '',
    actorKind: event.actor_kind,
    actorId: event.actor_id ?? '',
    userId: event.user_id ?? '',
    sessionId: event.session_id ?? '',
    address: event.address,
    userAgent: event.user_agent,
    requestId: event.request_id,
  };
}
