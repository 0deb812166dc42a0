import type { HandlerContext } from '@connectrpc/connect';
import { Refusal } from '../errors.ts';
import { autocommit } from '../rpc/context.ts';
import type { Attempt } from './attempt-table.ts';
import type { Possession } from './codes.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { keyCredential, readTier } from './minted-key.ts';
import { sessionCredential } from './minted-session.ts';
import { type Credential, possessionOf, redeem } from './redemption.ts';
import { wishOf } from './request-device-code.ts';

const refusals = {
  pending: 'AUTHORIZATION_PENDING',
  claimed: 'AUTHORIZATION_PENDING',
  denied: 'ACCESS_DENIED',
  expired: 'EXPIRED_TOKEN',
  redeemed: 'INVALID_DEVICE_CODE',
} as const;

export function pollDeviceToken(deps: DeviceDeps): DeviceMethods['pollDeviceToken'] {
  return async ({ deviceCode, clientNonce }, context) => {
    const at = deps.now();
    const polled = await deps.polls.poll(context, 'device', deviceCode, at);
    if (!polled) throw new Refusal('INVALID_DEVICE_CODE');
    const { attempt, state } = polled;
    if (!attempt) throw new Refusal(refusals[state]);
    const possession = possessionOf(deviceCode, clientNonce);
    const credential = credentialFor(deps, context, attempt, possession);
    const redeemed = await redeem(context, { attempt, possession }, credential, at);
    if (redeemed.response) return redeemed.response;
    throw new Refusal(refusals[redeemed.state]);
  };
}

type Response = Awaited<ReturnType<DeviceMethods['pollDeviceToken']>>;

/** The one credential that the device has asked for. */
function credentialFor(
  deps: DeviceDeps,
  context: HandlerContext,
  attempt: Attempt,
  possession: Possession,
): Credential<Response> {
  const { credential, scopes } = wishOf(attempt);
  if (credential === 'api_key')
    return keyCredential(deps, context, { kind: 'device', possession, clientName: attempt.clientName, scopes });
  const session = sessionCredential(deps, context, possession, 'device');
  return {
    kind: session.kind,
    async mint(em, user, id, minted) {
      const opened = await session.mint(em, user, id, minted);
      return { ...opened, tier: await readTier(em, user.projectId, user.id) };
    },
    async repeat(minted) {
      const opened = await session.repeat(minted);
      return opened && { ...opened, tier: await readTier(autocommit(context), minted.projectId, minted.userId) };
    },
  };
}
