import { awaitLogin } from './await-login.ts';
import { cancelLogin } from './cancel-login.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { fingerprintDecision } from './fingerprint-decision.ts';
import { fingerprintLogin } from './fingerprint-login.ts';
import { signOutFingerprint } from './sign-out-fingerprint.ts';

/** The methods of DeviceService, each in the file of its flow. */
export function deviceService(deps: DeviceDeps): DeviceMethods {
  return {
    ...fingerprintLogin(deps),
    ...fingerprintDecision(deps),
    ...signOutFingerprint(deps),
    ...cancelLogin(deps),
    ...awaitLogin(deps),
  };
}
