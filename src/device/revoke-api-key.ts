import { revokeApiKeys } from '../api-key/revocation.ts';
import { audit } from '../audit/event.ts';
import { caller, change } from '../rpc/context.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { readOwnKey } from './list-api-keys.ts';

/** Revokes one of the caller's keys. A key of another user is API_KEY_NOT_FOUND, like an unknown id. */
export function revokeApiKey({ now }: DeviceDeps): DeviceMethods['revokeApiKey'] {
  return async ({ apiKeyId: only }, context) => {
    const { userId } = caller(context);
    const at = now();
    const revoked = await change(context, async (em) => {
      const [revoked] = await revokeApiKeys(em, { userId, only }, at);
      if (revoked) audit(em, context, { action: 'api_key.revoke', entityId: revoked.id }, at);
      return revoked;
    });
    if (!revoked) await readOwnKey(context, only, at);
    return {};
  };
}
