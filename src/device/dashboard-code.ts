import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
import { autocommit, caller, change } from '../rpc/context.ts';
import { requireApprover } from './approval.ts';
import { advance, approvalOf, findByCode } from './attempt.ts';
import type { Attempt } from './attempt-table.ts';
import { type CodeForm, dashboardCodes, mintCode, readCode, shortDashboardCodes } from './codes.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { kinds, stateAt } from './kinds.ts';
import { requesterToMessage, stateToMessage } from './message.ts';
import { startAttempt } from './start-attempt.ts';
import { voidAttemptsOf } from './void-attempts.ts';

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
      const by = caller(context).userId;
      const at = deps.now();
      const isDenied = await change(
        context,
        async (em) =>
          (await advance(em, context, attempt, { event: 'deny', by }, at)) ||
          // What is approved already is taken back.
          advance(em, context, attempt, { event: 'cancel', by }, at),
      );
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
    await voidAttemptsOf(em, context, by, 'dashboard', at);
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

/** Throws CLI_CODE_INVALID for a code that is not one of the caller, whether or not it exists. */
async function findOwn({ now, keys }: DeviceDeps, context: HandlerContext, typed: string): Promise<Attempt> {
  const { projectId, userId } = caller(context);
  const code = readDashboardCode(typed);
  const attempt = code && (await findByCode(autocommit(context), keys, { projectId, kind: 'dashboard', code }, now()));
  if (!attempt || attempt.userId !== userId) throw new Refusal('CLI_CODE_INVALID');
  return attempt;
}
