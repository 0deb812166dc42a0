import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AdminService } from '../../gen/gatehouse/v1/admin_pb.ts';
import type { Action } from '../audit/draft.ts';
import { audit } from '../audit/event.ts';
import type { MasterKeys } from '../crypto/master-keys.ts';
import type { Clock } from '../database/clock.ts';
import { Refusal } from '../errors.ts';
import { change, reads } from '../rpc/context.ts';
import { type KeyRing, listKeys, revokeKey, rotateKeys } from '../session/key-ring.ts';
import type { SigningKey } from '../session/signing-key.ts';

export interface KeyDeps {
  readonly now: Clock;
  readonly keys: MasterKeys;
  readonly ring: KeyRing;
}

export function signingKeyMethods({ now, keys, ring }: KeyDeps) {
  async function changeKeys(
    context: HandlerContext,
    action: Action,
    work: (em: EntityManager, at: Date) => Promise<void>,
  ) {
    const at = now();
    const all = await change(context, async (em) => {
      await work(em, at);
      audit(em, context, { action }, at);
      return listKeys(em);
    });
    // The other replicas look every five seconds.
    await ring.reload();
    return { keys: all.map(toMessage) };
  }

  return {
    async listSigningKeys(_, context) {
      return { keys: (await listKeys(reads(context))).map(toMessage) };
    },

    rotateSigningKey: (_, context) =>
      changeKeys(context, 'key.rotate', (em, at) => rotateKeys(em, keys, { force: false, now: at })),

    revokeSigningKey: ({ signingKeyId }, context) =>
      changeKeys(context, 'key.revoke', async (em, at) => {
        if (!(await revokeKey(em, keys, signingKeyId, at))) throw new Refusal('SIGNING_KEY_NOT_FOUND');
      }),
  } satisfies Partial<ServiceImpl<typeof AdminService>>;
}

function toMessage({ id, state, algorithm, createdAt, stateChangedAt }: SigningKey) {
  return {
    id,
    state,
    algorithm,
    createTime: timestampFromDate(createdAt),
    stateTime: timestampFromDate(stateChangedAt),
  };
}
