import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { projectColumn } from '../project/project.ts';

/** What a repeat needs to give the response again: ids and amounts. Never a token, a code or a password. */
export type Made = Readonly<Record<string, string | number | boolean | null | undefined>>;

const RequestIdTable = defineEntity({
  name: 'RequestId',
  tableName: 'request_ids',
  properties: {
    projectId: () => projectColumn().primary(),
    /** `user:` and an id, or `service:` and a name. Empty for a method that everybody may call. */
    caller: p.string().length(80).primary(),
    method: p.string().length(64).primary(),
    requestId: p.uuid().primary(),
    requestMac: p.blob().hidden(),
    made: p.json<Made>(),
    expiresAt: p.datetime(3),
  },
  indexes: [{ name: 'request_ids_expiry', properties: ['expiresAt'] }],
});

/** The id of a request that succeeded. The same request with the same id has no further effect. */
export class RequestId extends RequestIdTable.class {}
RequestIdTable.setClass(RequestId);

/** The primary key of a row. */
export type RequestKey = Pick<RequestId, 'projectId' | 'caller' | 'method' | 'requestId'>;

const isKey = 'project_id = :projectId and caller = :caller and method = :method and request_id = :requestId';

export const findRequest = statement<Pick<RequestId, 'requestMac' | 'made'>, RequestKey & { now: Date }>(
  'request_id_find',
  `select request_mac as "requestMac", made from request_ids where ${isKey} and expires_at > :now`,
);

const claim = statement<object, RequestKey & Pick<RequestId, 'requestMac' | 'expiresAt'> & { now: Date }>(
  'request_id_claim',
  `insert into request_ids as r (project_id, caller, method, request_id, request_mac, made, expires_at)
   values (:projectId, :caller, :method, :requestId, :requestMac, '{}', :expiresAt)
   on conflict (project_id, caller, method, request_id) do update
     set request_mac = excluded.request_mac, made = excluded.made, expires_at = excluded.expires_at
     where r.expires_at <= :now
   returning 1`,
);

/**
 * Takes the id for the transaction, or at once with an Autocommit. False when another call has used it. While another transaction holds it, the statement
 * waits, and then takes it only if that transaction failed.
 */
export async function claimRequest(
  em: EntityManager | Autocommit,
  row: RequestKey & Pick<RequestId, 'requestMac' | 'expiresAt'>,
  now: Date,
): Promise<boolean> {
  return (await claim(em, { ...row, now })).length === 1;
}

const keep = statement<object, RequestKey & { made: string }>(
  'request_id_keep',
  `update request_ids set made = :made::jsonb where ${isKey}`,
);

/** Completes the row of `claimRequest`. */
export async function keepMade(em: EntityManager, key: RequestKey, made: Made): Promise<void> {
  await keep(em, { ...key, made: JSON.stringify(made) });
}
