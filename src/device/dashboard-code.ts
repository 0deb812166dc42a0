import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { autocommit, caller, change, type UserCaller } from '../rpc/context.ts';
import { requireApprover } from './approval.ts';
import { advance, approvalOf, auditAttempt, findByCode } from './attempt.ts';
import type { Attempt } from './attempt-table.ts';
import { type CodeForm, dashboardCodes, mintCode, readCode, shortDashboardCodes } from './codes.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { kinds, stateAt, stepOf } from './kinds.ts';
import { requesterToMessage, stateToMessage } from './message.ts';
import { startAttempt } from './start-attempt.ts';

type Methods = Pick<
  DeviceMethods,
  'createDashboardCode' | 'getDashboardCode' | 'approveDashboardCode' | 'denyDashboardCode'
>;

/** Codes that a signed-in user creates and types into a program, for the user's side. */
export function dashboardCode(deps: DeviceDeps): Methods {
  return {
    async createDashboardCode({ isShort }, context) {
      const code = await create(deps, context, isShort);
      return {
        cliCode: code,
        expiresIn: durationFromMs(kinds.dashboard.lifetime * 1000),
        message: `Enter this code in your CLI: gatehouse login --code ${code}`,
      };
    },
    async getDashboardCode({ cliCode }, context) {
      const attempt = await findOwn(deps, context, cliCode);
      const isClaimed = isShortCode(attempt) && attempt.state !== 'pending';
      return {
        state: stateToMessage(stateAt(attempt, deps.now())),
        ...(isClaimed && { requester: requesterToMessage(attempt) }),
      };
    },
    async approveDashboardCode({ cliCode }, context) {
      const attempt = await findOwn(deps, context, cliCode);
      const by = caller(context);
      const isApproved = await change(context, async (em) => {
        await requireApprover(em, deps, by);
        const step = { event: 'approve', by: by.userId, changes: approvalOf(by) } as const;
        return advance(em, context, attempt, step, deps.now());
      });
      if (!isApproved) throw new Refusal('CLI_CODE_INVALID');
      return {};
    },
    async denyDashboardCode({ cliCode }, context) {
      const attempt = await findOwn(deps, context, cliCode);
      // What is approved already is taken back.
      const event = attempt.state === 'approved' ? 'cancel' : 'deny';
      const step = { event, by: caller(context).userId } as const;
      const isDenied = await change(context, (em) => advance(em, context, attempt, step, deps.now()));
      if (!isDenied) throw new Refusal('CLI_CODE_INVALID');
      return {};
    },
  };
}

/** Whether the code of an attempt is a short one, which a device claims before its user confirms the device. */
export function isShortCode({ about }: Pick<Attempt, 'about'>): boolean {
  return about.isShort === true;
}

const forms: readonly CodeForm[] = [dashboardCodes, shortDashboardCodes];

/** A typed dashboard code as it was issued. Undefined for a text that is no such code. */
export function readDashboardCode(typed: string): string | undefined {
  return forms.map((form) => readCode(form, typed)).find((code) => code !== undefined);
}

function create(deps: DeviceDeps, context: HandlerContext, isShort: boolean): Promise<string> {
  const { keys, now } = deps;
  const by = caller(context);
  return change(context, async (em) => {
    await requireApprover(em, deps, by);
    const at = now();
    await voidEarlier(em, context, by, at);
    const draft = {
      kind: 'dashboard',
      clientName: '',
      mintCode: () => mintCode(isShort ? shortDashboardCodes : dashboardCodes),
      about: { isShort },
      owner: { caller: by, isApproved: !isShort },
    } as const;
    const { code } = await startAttempt(em, keys, context, draft, at);
    return code;
  });
}

const voidCodes = statement<
  { id: string },
  { projectId: string; userId: string; from: readonly string[]; to: string; now: Date }
>(
  'dashboard_codes_void',
  `update login_attempts a set state = :to, changed_at = :now
   where a.project_id = :projectId and a.kind = 'dashboard' and a.user_id = :userId and a.state = any(:from::text[])
     and a.expires_at > :now
   returning a.id`,
);

/** Voids the codes of the user that were not redeemed. The user's row is locked: of parallel calls one code stays valid. */
async function voidEarlier(
  em: EntityManager,
  context: HandlerContext,
  { projectId, userId }: UserCaller,
  now: Date,
): Promise<void> {
  const voided = await voidCodes(em, { projectId, userId, now, ...stepOf('dashboard', 'cancel') });
  for (const attempt of voided) auditAttempt(em, context, attempt, 'device.cancel', now, userId);
}

/** Throws CLI_CODE_INVALID for a code that is not one of the caller, whether or not it exists. */
async function findOwn({ now, keys }: DeviceDeps, context: HandlerContext, typed: string): Promise<Attempt> {
  const { projectId, userId } = caller(context);
  const code = readDashboardCode(typed);
  const attempt = code && (await findByCode(autocommit(context), keys, { projectId, kind: 'dashboard', code }, now()));
  if (!attempt || attempt.userId !== userId) throw new Refusal('CLI_CODE_INVALID');
  return attempt;
}
