import { awaitLogin } from './await-login.ts';
import { cancelLogin } from './cancel-login.ts';
import { cliDecision } from './cli-decision.ts';
import { cliLogin } from './cli-login.ts';
import { createApiKey } from './create-api-key.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { deviceGrant } from './device-grant.ts';
import { listDevices, revokeDevice } from './device-list.ts';
import { fingerprintDecision } from './fingerprint-decision.ts';
import { fingerprintLogin } from './fingerprint-login.ts';
import { listApiKeys } from './list-api-keys.ts';
import { revokeApiKey } from './revoke-api-key.ts';
import { signOutFingerprint } from './sign-out-fingerprint.ts';

/** The methods of DeviceService, each in the file of its flow. */
export function deviceService(deps: DeviceDeps): DeviceMethods {
  return {
    ...cliLogin(deps),
    ...cliDecision(deps),
    ...cancelLogin(deps),
    ...deviceGrant(deps),
    listDevices: listDevices(deps),
    revokeDevice: revokeDevice(deps),
    createApiKey: createApiKey(deps),
    listApiKeys: listApiKeys(deps),
    revokeApiKey: revokeApiKey(deps),
    ...fingerprintLogin(deps),
    ...fingerprintDecision(deps),
    ...signOutFingerprint(deps),
    ...awaitLogin(deps),
  };
}
