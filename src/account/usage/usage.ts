import type { HandlerContext } from '@connectrpc/connect';
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../../database/autocommit.ts';
import { statement } from '../../database/statement.ts';
import { Refusal } from '../../errors.ts';
import { projectColumn } from '../../project/project.ts';
import { anyCaller } from '../../rpc/context.ts';
import { nextReset } from './month.ts';
import { type Quotas, quotaOfUser, subjectSql } from './quota.ts';

const UsageCounterTable = defineEntity({
  name: 'UsageCounter',
  tableName: 'usage_counters',
  properties: {
    projectId: () => projectColumn().primary(),
    /** `user:` and an id, or `fingerprint:` and the fingerprint. */
    subject: p.string().length(160).primary(),
    used: p.bigint(),
    anchorAt: p.datetime(3),
    resetsAt: p.datetime(3),
  },
  indexes: [{ name: 'usage_counters_end', properties: ['resetsAt'] }],
});

/** How much one subject has used since the last reset. */
export class UsageCounter extends UsageCounterTable.class {}
UsageCounterTable.setClass(UsageCounter);

interface CallingSession {
  readonly sessionId: string;
  readonly tokenEpoch: number;
}

interface CallingKey {
  readonly apiKeyId: string;
}

/** The subject of a usage counter. Guests are users, too. A fingerprint is chosen by the client: it proves nothing. */
export type Subject =
  /** With the session or the API key of a user who calls for themselves, which has to be live. */
  | {
      readonly projectId: string;
      readonly userId: string;
      readonly credential?: CallingSession | CallingKey;
    }
  | { readonly projectId: string; readonly fingerprint: string };

type NamedSubject = { case: 'userId' | 'fingerprint'; value: string } | { case: undefined; value?: undefined };

/** The subject of a call. A user is the subject of their own calls and may not name one. A backend has to. */
export function subjectOf(named: NamedSubject, context: HandlerContext): Subject {
  const caller = anyCaller(context);
  const { projectId } = caller;
  if (caller.kind === 'user') {
    if (named.case) throw new Refusal('CALLER_NOT_ALLOWED');
    const { userId, sessionId, tokenEpoch, apiKey } = caller;
    return { projectId, userId, credential: apiKey ? { apiKeyId: sessionId } : { sessionId, tokenEpoch } };
  }
  if (!named.case) throw new Refusal('INVALID_ARGUMENT', { fields: [{ field: 'subject', description: 'required' }] });
  return named.case === 'userId' ? { projectId, userId: named.value } : { projectId, fingerprint: named.value };
}

/** The subject as stored in the counters. */
export function keyOf(subject: Subject): string {
  return 'userId' in subject ? `user:${subject.userId.toLowerCase()}` : `fingerprint:${subject.fingerprint}`;
}

export interface UsageState {
  readonly used: bigint;
  readonly limit: bigint;
  readonly isSubscribed: boolean;
  readonly resetsAt: Date;
}

/** The state of a subject, and the month it is in. */
interface SeenUsage extends UsageState {
  /** The moment from which months are counted. */
  readonly anchor: Date;
  /** Whether the counter is that of the current month. */
  readonly hasBegun: boolean;
}

/** Times are texts where a transaction read them. */
interface Counter {
  readonly used: string;
  readonly anchorAt: Date | string;
  readonly resetsAt: Date | string;
}

interface CounterOfUser {
  readonly used: string | null;
  readonly resetsAt: Date | string | null;
  readonly createdAt: Date | string;
  readonly quota: string;
  readonly subscribed: boolean;
}

const readOfUser = statement<CounterOfUser, Quotas & { projectId: string; userId: string }>(
  'usage_of_user',
  `select c.used, c.resets_at as "resetsAt", q.created_at as "createdAt", q.quota, q.subscribed
   from (${quotaOfUser}) q left join usage_counters c
     on c.project_id = q.project_id and c.subject = ${subjectSql(':userId')}`,
);

const readOfFingerprint = statement<Counter, { projectId: string; subject: string }>(
  'usage_of_fingerprint',
  `select used, anchor_at as "anchorAt", resets_at as "resetsAt"
   from usage_counters where project_id = :projectId and subject = :subject`,
);

/** Throws USER_NOT_FOUND. */
export async function readUsage(
  on: EntityManager | Autocommit,
  subject: Subject,
  quotas: Quotas,
  now: Date,
): Promise<SeenUsage> {
  if ('userId' in subject) {
    const [row] = await readOfUser(on, { projectId: subject.projectId, userId: subject.userId, ...quotas });
    if (!row) throw new Refusal('USER_NOT_FOUND');
    const anchor = new Date(row.createdAt);
    return { limit: BigInt(row.quota), isSubscribed: row.subscribed, anchor, ...countOf(row, anchor, now) };
  }
  const [row] = await readOfFingerprint(on, { projectId: subject.projectId, subject: keyOf(subject) });
  const anchor = new Date(row?.anchorAt ?? now);
  return { limit: BigInt(quotas.anonymous), isSubscribed: false, anchor, ...countOf(row ?? noCounter, anchor, now) };
}

const noCounter = { used: null, resetsAt: null };

/** What a counter says at a moment. One of a month that has ended counts nothing, whether or not the next has begun. */
export function countOf(
  counter: { readonly used: string | null; readonly resetsAt: Date | string | null },
  anchor: Date,
  now: Date,
): Pick<SeenUsage, 'used' | 'resetsAt' | 'hasBegun'> {
  const resetsAt = counter.resetsAt && new Date(counter.resetsAt);
  if (counter.used === null || !resetsAt || resetsAt <= now)
    return { used: 0n, resetsAt: nextReset(anchor, now), hasBegun: false };
  return { used: BigInt(counter.used), resetsAt, hasBegun: true };
}
