import { dashboardCode } from './dashboard-code.ts';
import { decideDevice } from './decide-device.ts';
import type { DeviceDeps } from './deps.ts';
import { pollDeviceToken } from './poll-device-token.ts';
import { redeemDashboardCode } from './redeem-dashboard-code.ts';
import { requestDeviceCode } from './request-device-code.ts';

/** The methods of logins by a user code, which a device displays, and by a dashboard code, which a user creates. */
export function deviceGrant(deps: DeviceDeps) {
  return {
    requestDeviceCode: requestDeviceCode(deps),
    ...decideDevice(deps),
    pollDeviceToken: pollDeviceToken(deps),
    ...dashboardCode(deps),
    redeemDashboardCode: redeemDashboardCode(deps),
  };
}
