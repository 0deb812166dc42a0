import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type ApiKeySchema, ApiKeyState } from '../../gen/gatehouse/v1/api_key_pb.ts';
import type { ShownKey } from './api-key.ts';

const states = {
  active: ApiKeyState.ACTIVE,
  revoked: ApiKeyState.REVOKED,
  expired: ApiKeyState.EXPIRED,
} as const satisfies Record<ShownKey['state'], ApiKeyState>;

export function keyToMessage(key: ShownKey): MessageInitShape<typeof ApiKeySchema> {
  const { id, name, prefix, scopes, state, createdAt, expiresAt, lastUsedAt, revokedAt } = key;
  return {
    id,
    name,
    prefix,
    scopes,
    state: states[state],
    createTime: timeOf(createdAt),
    expireTime: timeOf(expiresAt),
    ...(lastUsedAt && { lastUsedTime: timeOf(lastUsedAt) }),
    ...(revokedAt && { revokeTime: timeOf(revokedAt) }),
  };
}

function timeOf(time: Date | string) {
  return timestampFromDate(new Date(time));
}
