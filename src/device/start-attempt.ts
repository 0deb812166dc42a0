import { randomInt } from 'node:crypto';
import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { insertIfFree } from '../database/insert.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Refusal } from '../errors.ts';
import { origin, projectOf, type UserCaller } from '../rpc/context.ts';
import { approvalOf, auditAttempt } from './attempt.ts';
import { type About, LoginAttempt } from './attempt-table.ts';
import { hashesOfCode, hashPollingSecret, mintSecret } from './codes.ts';
import { type AttemptKind, kinds } from './kinds.ts';

interface AttemptDraft {
  readonly kind: AttemptKind;
  readonly clientName: string;
  /** Draws a code. Called again when another attempt has the same one. */
  readonly mintCode: (attemptId: string, expiresAt: Date) => string;
  /** Seconds. Default: that of the kind. */
  readonly lifetime?: number | undefined;
  readonly about?: About;
  /** Where a user starts the attempt: who it signs in. `isApproved` when nothing more is asked. */
  readonly owner?: { readonly caller: UserCaller; readonly isApproved: boolean };
}

/** A new attempt, and the only copies of its code and of its polling secret. */
export interface Started {
  readonly attempt: LoginAttempt;
  readonly code: string;
  /** Empty where a user starts the attempt: the device gets one when it claims the attempt. */
  readonly pollingSecret: string;
}

const mostTries = 5;

/** Starts an attempt. A short code that another attempt has already is drawn again. */
export async function startAttempt(
  em: EntityManager,
  keys: MasterKeys,
  context: HandlerContext,
  draft: AttemptDraft,
  now: Date,
): Promise<Started> {
  for (let tried = 1; tried <= mostTries; tried++) {
    const started = draftAttempt(keys, context, draft, now);
    if (!(await insertIfFree(em, started.attempt))) continue;
    auditAttempt(em, context, started.attempt, { action: 'device.start' }, now);
    return started;
  }
  throw new Refusal('TRY_AGAIN');
}

function draftAttempt(
  keys: MasterKeys,
  context: HandlerContext,
  { kind, clientName, mintCode, lifetime, about = {}, owner }: AttemptDraft,
  now: Date,
): Started {
  const rules = kinds[kind];
  const projectId = projectOf(context);
  const { address, userAgent } = origin(context);
  const id = uuidv7(now);
  const expiresAt = new Date(now.getTime() + (lifetime ?? rules.lifetime) * 1000);
  const code = mintCode(id, expiresAt);
  const pollingSecret = owner ? '' : mintSecret(rules.pollingPrefix);
  const attempt = Object.assign(new LoginAttempt(), {
    ...{ id, projectId, kind, clientName, address, userAgent, about, expiresAt },
    state: owner?.isApproved ? 'approved' : 'pending',
    codeHash: hashesOfCode(keys, projectId, kind, code)[0],
    pollingHash: pollingSecret ? hashPollingSecret(projectId, kind, pollingSecret) : null,
    comparison: mintComparison(),
    ...(owner && approvalOf(owner.caller)),
    createdAt: now,
    pollInterval: rules.pollInterval,
  });
  return { attempt, code, pollingSecret };
}

/** Two digits on both screens. A link of somebody else's attempt leads to a page whose number the user's device lacks. */
function mintComparison(): string {
  return `${randomInt(10, 100)}`;
}
