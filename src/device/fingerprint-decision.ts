import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { Refusal } from '../errors.ts';
import { autocommit, caller, change, projectOf, type UserCaller } from '../rpc/context.ts';
import { requireApprover } from './approval.ts';
import { advance, approvalOf, findByCode } from './attempt.ts';
import type { Attempt } from './attempt-table.ts';
import { readAuthCode } from './auth-code.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { isClaimedByAnother } from './fingerprint-claim.ts';
import { fingerprintOf } from './fingerprint-login.ts';
import { stateAt } from './kinds.ts';
import { requesterToMessage } from './message.ts';

type Methods = Pick<DeviceMethods, 'getFingerprintLogin' | 'confirmFingerprintLogin' | 'denyFingerprintLogin'>;

/** The side of the browser: it shows who asks, and confirms or denies the login. */
export function fingerprintDecision(deps: DeviceDeps): Methods {
  return {
    async getFingerprintLogin({ authCode }, context) {
      const attempt = await findOpenLogin(deps, context, authCode);
      return { fingerprintId: fingerprintOf(attempt), requester: requesterToMessage(attempt) };
    },

    async confirmFingerprintLogin({ authCode }, context) {
      await decide(deps, context, authCode, (em, attempt) => approve(deps, context, em, attempt));
      return { message: 'Nicely done!' };
    },

    async denyFingerprintLogin({ authCode }, context) {
      const step = { event: 'deny', by: caller(context).userId } as const;
      await decide(deps, context, authCode, (em, attempt) => advance(em, context, attempt, step, deps.now()));
      return {};
    },
  };
}

async function approve(
  deps: DeviceDeps,
  context: HandlerContext,
  em: EntityManager,
  attempt: Attempt,
): Promise<boolean> {
  const approver = caller(context);
  const { projectId, userId } = approver;
  await requireApprover(em, deps, approver);
  const claim = { projectId, userId, fingerprintId: fingerprintOf(attempt) };
  if (await isClaimedByAnother(em, claim, deps.now())) throw conflictOf(attempt);
  return advance(em, context, attempt, { event: 'approve', by: userId, changes: approvalOf(approver) }, deps.now());
}

/** Decides a login in one transaction. When another call was faster, throws the refusal of the state that it led to. */
async function decide(
  deps: DeviceDeps,
  context: HandlerContext,
  authCode: string,
  step: (em: EntityManager, attempt: Attempt) => Promise<boolean>,
): Promise<void> {
  const attempt = await findOpenLogin(deps, context, authCode);
  if (await change(context, (em) => step(em, attempt))) return;
  await findOpenLogin(deps, context, authCode);
  throw new Refusal('TRY_AGAIN');
}

/**
 * The login with this auth code that waits for a decision. The seal of the code is verified before the database is read.
 * Throws INVALID_AUTH_CODE, AUTH_CODE_EXPIRED, ALREADY_CONNECTED or OWNERSHIP_CONFLICT.
 */
async function findOpenLogin({ keys, now }: DeviceDeps, context: HandlerContext, authCode: string): Promise<Attempt> {
  const projectId = projectOf(context);
  const at = now();
  const code = readAuthCode(keys, projectId, authCode);
  if (!code) throw new Refusal('INVALID_AUTH_CODE');
  if (code.expiresAt <= at) throw new Refusal('AUTH_CODE_EXPIRED');
  const attempt = await findByCode(autocommit(context), keys, { projectId, kind: 'fingerprint', code: authCode }, at);
  if (!attempt) throw new Refusal('INVALID_AUTH_CODE');
  const refusal = refusalFor(caller(context), attempt, at);
  if (refusal) throw refusal;
  return attempt;
}

function refusalFor({ userId }: UserCaller, attempt: Attempt, now: Date): Refusal | undefined {
  switch (stateAt(attempt, now)) {
    case 'pending':
      return undefined;
    case 'approved':
    case 'redeemed':
      return attempt.userId === userId ? new Refusal('ALREADY_CONNECTED') : conflictOf(attempt);
    case 'expired':
      return new Refusal('AUTH_CODE_EXPIRED');
    default:
      return new Refusal('INVALID_AUTH_CODE');
  }
}

/** Attack: a more precise refusal would reveal that another user is signed in on this machine. */
function conflictOf({ id }: Attempt): Refusal {
  return new Refusal('OWNERSHIP_CONFLICT', { event: { action: 'device.conflict', entityId: id } });
}
