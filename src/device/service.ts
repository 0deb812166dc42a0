import { cancelLogin } from './cancel-login.ts';
import { cliDecision } from './cli-decision.ts';
import { cliLogin } from './cli-login.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';

/** The methods of DeviceService, each in the file of its flow. */
export function deviceService(deps: DeviceDeps): DeviceMethods {
  return {
    ...cliLogin(deps),
    ...cliDecision(deps),
    ...cancelLogin(deps),
  };
}
