import { type AuditEvent, AuditResult } from '../../../gen/gatehouse/v1/admin_pb.ts';
import { type Answer, type Asked, withBearer } from './asked.ts';
import { invalid } from './auth-error.ts';
import { pageOf } from './page-numbers.ts';
import { textOf } from './user-json.ts';

const filters = { author: 'actorId', action: 'action', type: 'entityType' } as const;
/** Pages are reached one after the other. */
const mostPages = 100;

/** GET /admin/audit, newest first. The filter is `author:`, `action:` or `type:` and a value. */
export async function listAuditEvents({ admin, query, ...asked }: Asked): Promise<Answer> {
  const bearer = withBearer(asked);
  const { page, perPage } = pageOf(query);
  if (page > mostPages) throw invalid('Bad Pagination Parameters: page is too large');
  const filter = filterOf(query.get('query') ?? '');
  let found = await admin.listAuditEvents({ ...filter, pageSize: perPage }, bearer);
  for (let at = 1; at < page; at++) {
    if (!found.nextPageToken) return { body: [] };
    found = await admin.listAuditEvents({ ...filter, pageSize: perPage, pageToken: found.nextPageToken }, bearer);
  }
  const headers: Record<string, string> = found.nextPageToken
    ? { link: `</admin/audit?page=${page + 1}&per_page=${perPage}>; rel="next"` }
    : {};
  return { body: found.events.map(eventJson), headers };
}

function filterOf(text: string): Partial<Record<(typeof filters)[keyof typeof filters], string>> {
  if (text === '') return {};
  const [, name = '', value = ''] = /^(author|action|type):(.*)$/s.exec(text) ?? [];
  if (!name) throw invalid('The query has to begin with author:, action: or type:');
  return { [filters[name as keyof typeof filters]]: value };
}

function eventJson(event: AuditEvent) {
  return {
    id: event.id,
    payload: {
      action: event.action,
      actor_id: event.actorId,
      log_type: event.entityType,
      result: event.result === AuditResult.SUCCESS ? 'success' : 'failure',
      traits: { user_id: event.userId, session_id: event.sessionId, entity_id: event.entityId },
    },
    created_at: textOf(event.time!),
    ip_address: event.address,
  };
}
