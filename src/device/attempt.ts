import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { audit } from '../audit/event.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import type { UserCaller } from '../rpc/context.ts';
import { type About, type Attempt, attemptColumns } from './attempt-table.ts';
import { hashesOfCode } from './codes.ts';
import { type AttemptEvent, type AttemptKind, type AttemptState, stepOf } from './kinds.ts';

const findCode = statement<
  Attempt,
  { projectId: string; kind: AttemptKind; hashes: readonly Buffer[]; readonly now: Date }
>(
  'login_attempt_by_code',
  `select ${attemptColumns} from login_attempts a
   where a.project_id = :projectId and a.kind = :kind and a.code_hash = any(:hashes::bytea[])
   order by a.expires_at > :now desc limit 1`,
);

/** The attempt with this code, in any state. Undefined for a code that was never issued, or of another kind or project. */
export async function findByCode(
  on: Autocommit | EntityManager,
  keys: MasterKeys,
  { projectId, kind, code }: { projectId: string; kind: AttemptKind; code: string },
  now: Date,
): Promise<Attempt | undefined> {
  const [attempt] = await findCode(on, { projectId, kind, hashes: hashesOfCode(keys, projectId, kind, code), now });
  return attempt;
}

/** The user who approves an attempt, and the session, which has to be live still when the attempt is redeemed. */
export function approvalOf({ userId, sessionId, tokenEpoch, authenticatedAt }: UserCaller) {
  return {
    userId,
    approverSessionId: sessionId,
    approverEpoch: tokenEpoch,
    approverAuthenticatedAt: authenticatedAt,
  };
}

/** What a step writes beside the state. Absent values stay. */
interface StepChanges extends Partial<ReturnType<typeof approvalOf>> {
  readonly mintedId?: string;
  readonly nonceHash?: Buffer;
  readonly pollingHash?: Buffer;
  readonly clientName?: string;
  readonly address?: string;
  readonly userAgent?: string;
  /** Merged into the stored value. */
  readonly about?: About;
}

const columnsOfChanges = {
  userId: 'uuid',
  approverSessionId: 'uuid',
  approverEpoch: 'int',
  approverAuthenticatedAt: 'timestamptz',
  mintedId: 'uuid',
  nonceHash: 'bytea',
  pollingHash: 'bytea',
  clientName: 'text',
  address: 'text',
  userAgent: 'text',
} as const satisfies Partial<Record<keyof StepChanges, string>>;

const unchanged = Object.fromEntries(Object.keys(columnsOfChanges).map((each) => [each, null]));

const assignments = Object.entries(columnsOfChanges).map(([property, type]) => {
  const column = property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return `${column} = coalesce(:${property}::${type}, a.${column})`;
});

// The condition is in the write: of any number of parallel calls, one moves the attempt on.
const step = statement<{ id: string }, object>(
  'login_attempt_step',
  `update login_attempts a
   set state = :to, changed_at = :now, about = a.about || :about::jsonb, ${assignments.join(', ')}
   where a.project_id = :projectId and a.id = :id and a.kind = :kind and a.state = any(:from::text[])
     and a.expires_at > :now and (a.user_id is null or :by::uuid is null or a.user_id = :by)
   returning a.id`,
);

interface Step {
  readonly event: AttemptEvent;
  /** The states that the attempt may be in. Default: all that admit the event. */
  readonly from?: readonly AttemptState[];
  /** The session that the step opens, for the audit trail. */
  readonly sessionId?: string | undefined;
  /** The user who acts. An attempt that has a user already is moved on by this user only. */
  readonly by?: string;
  readonly changes?: StepChanges;
}

/**
 * Moves an attempt on, by one conditional write. False when the attempt has expired, is in no state that admits the event, or has
 * another user: another call was faster. Within `change`, whose locks of users come first.
 */
export async function advance(
  em: EntityManager,
  context: HandlerContext,
  attempt: Pick<Attempt, 'id' | 'projectId' | 'kind'>,
  { event, by, sessionId, changes: { about = {}, ...changes } = {}, ...only }: Step,
  now: Date,
): Promise<boolean> {
  const { id, projectId, kind } = attempt;
  const { from, to } = { ...stepOf(kind, event), ...only };
  const values = { ...unchanged, ...changes, about: JSON.stringify(about), by: by ?? null };
  const rows = await step(em, { id, projectId, kind, from, to, now, ...values });
  if (rows.length === 0) return false;
  auditAttempt(em, context, attempt, { action: `device.${event}`, userId: by ?? changes.userId, sessionId }, now);
  return true;
}

interface AttemptAudit {
  readonly action: `device.${'start' | AttemptEvent}`;
  readonly userId?: string | undefined;
  readonly sessionId?: string | undefined;
}

export function auditAttempt(
  em: EntityManager,
  context: HandlerContext,
  { id }: Pick<Attempt, 'id'>,
  event: AttemptAudit,
  now: Date,
): void {
  audit(em, context, { ...event, entityId: id }, now);
}
