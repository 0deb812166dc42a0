import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { SigningKeyState as State } from '../../gen/gatehouse/v1/admin_pb.ts';
import type { ActionOn } from '../audit/draft.ts';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { change, reads } from '../rpc/context.ts';
import { listKeys, revokeKey, rotateKeys } from '../session/key-ring.ts';
import type { SigningKey, SigningKeyState } from '../session/signing-key.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { managerOfInstallation } from './manager-of-installation.ts';

export const listSigningKeys: AdminMethods['listSigningKeys'] = async (_, context) => {
  managerOfInstallation(context);
  return { keys: (await listKeys(reads(context))).map(toMessage) };
};

export function rotateSigningKey(deps: AdminDeps): AdminMethods['rotateSigningKey'] {
  return (_, context) =>
    changeKeys(
      deps,
      context,
      'key.rotate',
      async (em, now) => (await rotateKeys(em, deps.keys, { force: false, now })).id,
    );
}

export function revokeSigningKey(deps: AdminDeps): AdminMethods['revokeSigningKey'] {
  return ({ signingKeyId }, context) =>
    changeKeys(deps, context, 'key.revoke', async (em, now) => {
      if (!(await revokeKey(em, deps.keys, signingKeyId, now))) throw new Refusal('SIGNING_KEY_NOT_FOUND');
      return signingKeyId;
    });
}

async function changeKeys(
  { now, ring }: AdminDeps,
  context: HandlerContext,
  action: ActionOn<'signing_key'>,
  /** Returns the id of the key that the event names. */
  work: (em: EntityManager, now: Date) => Promise<string>,
) {
  managerOfInstallation(context);
  const at = now();
  const keys = await change(context, async (em) => {
    audit(em, context, { action, entityId: await work(em, at) }, at);
    return listKeys(em);
  });
  // The other replicas read the keys after their next poll.
  await ring.reload();
  return { keys: keys.map(toMessage) };
}

const states = {
  standby: State.STANDBY,
  active: State.ACTIVE,
  retired: State.RETIRED,
  revoked: State.REVOKED,
} as const satisfies Record<SigningKeyState, State>;

function toMessage({ id, state, algorithm, createdAt, stateChangedAt }: SigningKey) {
  return {
    id,
    state: states[state],
    algorithm,
    createTime: timestampFromDate(createdAt),
    stateTime: timestampFromDate(stateChangedAt),
  };
}
