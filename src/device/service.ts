import { cancelLogin } from './cancel-login.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';

/** The methods of DeviceService, each in the file of its flow. */
export function deviceService(deps: DeviceDeps): DeviceMethods {
  return {
    ...cancelLogin(deps),
  };
}
