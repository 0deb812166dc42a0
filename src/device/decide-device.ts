import type { HandlerContext } from '@connectrpc/connect';
import { DeviceCredential } from '../../gen/gatehouse/v1/device_grant_pb.ts';
import { Refusal } from '../errors.ts';
import { autocommit, caller, change, projectOf } from '../rpc/context.ts';
import { requireApprover, requireRecentLogin } from './approval.ts';
import { advance, approvalOf, findByCode } from './attempt.ts';
import type { Attempt } from './attempt-table.ts';
import { readCode, userCodes } from './codes.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { stateAt } from './kinds.ts';
import { requesterToMessage } from './message.ts';
import { wishOf } from './request-device-code.ts';

/** How the user at the confirmation page reads and decides a user code. */
export function decideDevice(deps: DeviceDeps): Pick<DeviceMethods, 'getDeviceCode' | 'approveDevice' | 'denyDevice'> {
  return {
    async getDeviceCode({ userCode }, context) {
      const { code, attempt } = await findPending(deps, context, userCode);
      const { credential, scopes } = wishOf(attempt);
      return {
        userCode: code,
        requester: requesterToMessage(attempt),
        credential: credential === 'session' ? DeviceCredential.SESSION : DeviceCredential.API_KEY,
        scopes: [...scopes],
      };
    },
    async approveDevice({ userCode }, context) {
      const { attempt } = await findPending(deps, context, userCode);
      await decide(deps, context, attempt, 'approve');
      return { message: 'Device authorized successfully', requester: requesterToMessage(attempt) };
    },
    async denyDevice({ userCode }, context) {
      const { attempt } = await findPending(deps, context, userCode);
      await decide(deps, context, attempt, 'deny');
      return {};
    },
  };
}

/** The attempt of a typed user code. Throws USER_CODE_NOT_FOUND for a code that does not wait for a decision. */
async function findPending({ now, keys, unknownCodes }: DeviceDeps, context: HandlerContext, typed: string) {
  const code = readCode(userCodes, typed);
  const at = now();
  const attempt = await unknownCodes.try(context, 'user code', async () =>
    code === undefined
      ? undefined
      : findByCode(autocommit(context), keys, { projectId: projectOf(context), kind: 'device', code }, at),
  );
  if (!attempt || !code || stateAt(attempt, at) !== 'pending') throw new Refusal('USER_CODE_NOT_FOUND');
  return { code, attempt };
}

/** Throws USER_CODE_NOT_FOUND when another call was faster. */
async function decide(
  deps: DeviceDeps,
  context: HandlerContext,
  attempt: Attempt,
  event: 'approve' | 'deny',
): Promise<void> {
  const by = caller(context);
  const at = deps.now();
  const isDecided = await change(context, async (em) => {
    if (event === 'approve') {
      await requireApprover(em, deps, by);
      if (wishOf(attempt).credential === 'api_key') requireRecentLogin(by, at);
    }
    const changes = event === 'approve' ? approvalOf(by) : {};
    return advance(em, context, attempt, { event, by: by.userId, changes }, at);
  });
  if (!isDecided) throw new Refusal('USER_CODE_NOT_FOUND');
}
