import { createApiKey } from './create-api-key.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { listApiKeys } from './list-api-keys.ts';
import { revokeApiKey } from './revoke-api-key.ts';

export function deviceService(deps: DeviceDeps): DeviceMethods {
  return {
    createApiKey: createApiKey(deps),
    listApiKeys: listApiKeys(deps),
    revokeApiKey: revokeApiKey(deps),
  };
}
