import { timestampDate } from '@bufbuild/protobuf/wkt';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { CreateApiKeyRequest } from '../../gen/gatehouse/v1/api_key_pb.ts';
import { type CreatedKey, createKey, latestExpiry } from '../api-key/create-key.ts';
import { keyToMessage } from '../api-key/message.ts';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import type { Made } from '../request-id/request-id-table.ts';
import { requireOwnSignIn } from '../rpc/assurance.ts';
import { caller, change } from '../rpc/context.ts';
import { lockUser } from '../user/user.ts';
import { requireVerifiedMailbox } from '../user/verified-mailbox.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { readOwnKey } from './list-api-keys.ts';
import { scopeFaults } from './scope-faults.ts';

/** What a repeat needs. The key itself is not kept: no secret is. */
interface KeptKey extends Made {
  readonly keyId: string;
}

export function createApiKey(deps: DeviceDeps): DeviceMethods['createApiKey'] {
  const { now, requestIds, keyRules } = deps;
  return async (request, context) => {
    const by = caller(context);
    requireOwnSignIn(by);
    const { projectId, userId } = by;
    const { name, scopes } = request;
    const at = now();
    const expiresAt = admit(deps, request, at);
    const create = async (em: EntityManager): Promise<CreatedKey> => {
      await requireVerifiedMailbox(em, deps, await lockUser(em, projectId, userId));
      const created = await createKey(em, keyRules, { projectId, userId, name, scopes, expiresAt }, at);
      audit(em, context, { action: 'api_key.create', entityId: created.key.id }, at);
      return created;
    };
    const { key, text } = await requestIds.once<CreatedKey, KeptKey>(context, request, {
      run: (recorded) =>
        change(context, (em) =>
          recorded(
            em,
            () => create(em),
            ({ key }) => ({ keyId: key.id }),
          ),
        ),
      repeat: async ({ keyId }) => ({ key: await readOwnKey(context, keyId, now()), text: '' }),
    });
    return { apiKey: keyToMessage(key), secret: text };
  };
}

/** The time at which the new key expires. Undefined: the latest one. Throws INVALID_ARGUMENT. */
function admit({ keyRules, keyScopes }: DeviceDeps, request: CreateApiKeyRequest, now: Date): Date | undefined {
  const expiresAt = request.expireTime && timestampDate(request.expireTime);
  const violations = scopeFaults(keyScopes, request.scopes);
  if (expiresAt && !(expiresAt > now)) violations.push({ field: 'expire_time', description: 'is not in the future' });
  if (expiresAt && expiresAt > latestExpiry(keyRules, now))
    violations.push({ field: 'expire_time', description: 'exceeds the maximum lifetime' });
  if (violations.length > 0) throw new Refusal('INVALID_ARGUMENT', { fields: violations });
  return expiresAt;
}
