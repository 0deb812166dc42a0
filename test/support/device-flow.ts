import { DeviceCredential } from '../../gen/gatehouse/v1/device_grant_pb.ts';
import { reasonOf } from './refusal.ts';
import type { Clients, TestService, Wire } from './start.ts';

export const forKey = DeviceCredential.API_KEY;
export const forSession = DeviceCredential.SESSION;

type As = Awaited<ReturnType<TestService['signIn']>>['as'];

/** The steps of a device login over a wire, each on the replica that the test names. */
export function deviceFlow(service: TestService, wire: Wire) {
  const on = (replica = 0): Clients['devices'] => service.clients(wire, replica).devices;
  return {
    on,
    request: (credential: DeviceCredential = forKey, replica = 0) =>
      on(replica).requestDeviceCode({ clientName: 'a tool', credential }),
    approve: (userCode: string, as: As, replica = 0) => on(replica).approveDevice({ userCode }, as),
    deny: (userCode: string, as: As, replica = 0) => on(replica).denyDevice({ userCode }, as),
    poll: (deviceCode: string, clientNonce = '', replica = 0) =>
      on(replica).pollDeviceToken({ deviceCode, clientNonce }),
    redeem: (value: string, clientNonce = '', replica = 0) =>
      on(replica).redeemDashboardCode({ proof: { case: 'cliCode', value }, clientNonce, clientName: 'a tool' }),
    redeemClaimed: (value: string, replica = 0) =>
      on(replica).redeemDashboardCode({ proof: { case: 'pollingCode', value } }),
    create: async (as: As, isShort = false) => (await on().createDashboardCode({ isShort }, as)).cliCode,
    list: async (as: As) => (await on().listDevices({}, as)).devices,
  };
}

/** The reason of a refusal, or `OK`. */
export function outcomeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'OK',
    (error) => reasonOf(error) ?? String(error),
  );
}
