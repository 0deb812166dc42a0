import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { EntityManager } from '@mikro-orm/postgresql';
import { DeviceCredential, type DeviceSchema, DeviceStatus } from '../../gen/gatehouse/v1/device_grant_pb.ts';
import { shownKeyColumns } from '../api-key/api-key.ts';
import { revokeApiKeys } from '../api-key/revocation.ts';
import { audit } from '../audit/event.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { caller, change } from '../rpc/context.ts';
import { deviceName } from '../session/device-name.ts';
import { ownPage } from '../session/own-page.ts';
import { revokeSessions } from '../session/revocation.ts';
import { endOf } from '../session/session.ts';
import type { DeviceDeps, DeviceMethods } from './deps.ts';
import { deviceNames } from './device-names.ts';

interface Device {
  readonly id: string;
  readonly credential: 'api_key' | 'session';
  readonly loginKind: keyof typeof deviceNames;
  readonly state: 'active' | 'revoked' | 'expired';
  readonly prefix: string;
  readonly clientName: string;
  readonly userAgent: string;
  readonly address: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly lastUsedAt: Date | null;
}

/** SQL: the API key `k` was created by a login of a device. */
const isOfDevice = (k: string) => `${k}.login_kind is not null`;

/** SQL: the session `s` is that of a program or a device. */
const isDevice = (s: string) => `${s}.kind in ('cli', 'device')`;

const onPage = (row: string) => `${row}.user_id = :userId and (:after::uuid is null or ${row}.id < :after)`;

/** The devices of the caller. */
export const ownDevices = ownPage<Device>('devices_list', {
  key: 'id',
  columns: `shown.id, shown.credential, shown."loginKind", shown.state, shown.prefix, shown."clientName", shown."userAgent",
     shown.address, shown."createdAt", shown."expiresAt", shown."lastUsedAt"`,
  items: `(select key.id, 'api_key' as credential, key."loginKind", key.state, key.prefix, key."clientName",
        key."userAgent", key.address, key."createdAt", key."expiresAt", key."lastUsedAt"
      from (select ${shownKeyColumns}, k.login_kind as "loginKind", k.client_name as "clientName",
          k.user_agent as "userAgent", k.address
        from api_keys k where ${onPage('k')} and ${isOfDevice('k')} order by k.id desc limit :limit) key)
     union all
     (select s.id, 'session', s.kind, coalesce(${endOf('s', 'u')}, 'active'), '',
        coalesce(s.client_name, ''), s.user_agent, s.address, s.created_at,
        least(s.idle_expires_at, s.expires_at), case when s.generation > 0 then s.refreshed_at end
      from users u join sessions s on s.user_id = u.id
      where u.id = :userId and ${onPage('s')} and ${isDevice('s')} order by s.id desc limit :limit)
     order by id desc limit :limit`,
});

/** The caller's devices, newest first. */
export function listDevices({ paging }: DeviceDeps): DeviceMethods['listDevices'] {
  return async (request, context) => {
    const { rows, nextPageToken } = await paging.pageOf(context, request, { key: 'id' }, async (page) =>
      ownDevices.itemsOf(context, page),
    );
    return { devices: rows.map(toMessage), nextPageToken };
  };
}

const statuses = {
  active: DeviceStatus.ACTIVE,
  revoked: DeviceStatus.REVOKED,
  expired: DeviceStatus.EXPIRED,
} as const satisfies Record<Device['state'], DeviceStatus>;

function toMessage(device: Device): MessageInitShape<typeof DeviceSchema> {
  const { id, credential, loginKind, state, prefix, clientName, userAgent, address } = device;
  return {
    ...{ id, clientName, userAgent, address },
    name: deviceNames[loginKind],
    deviceName: deviceName(userAgent),
    status: statuses[state],
    credential: credential === 'api_key' ? DeviceCredential.API_KEY : DeviceCredential.SESSION,
    keyPrefix: prefix,
    createTime: timestampFromDate(device.createdAt),
    expireTime: timestampFromDate(device.expiresAt),
    ...(device.lastUsedAt && { lastUsedTime: timestampFromDate(device.lastUsedAt) }),
  };
}

const look = statement<Pick<Device, 'credential'>, { userId: string; id: string }>(
  'device_look',
  `select 'api_key' as credential from api_keys k where k.user_id = :userId and k.id = :id and ${isOfDevice('k')}
   union all
   select 'session' from sessions s where s.user_id = :userId and s.id = :id and ${isDevice('s')}`,
);

/** Revokes the credential of one of the caller's devices. What another user has is DEVICE_NOT_FOUND, like an unknown id. */
export function revokeDevice({ now }: DeviceDeps): DeviceMethods['revokeDevice'] {
  return async ({ deviceId }, context) => {
    const { userId } = caller(context);
    const at = now();
    await change(context, async (em) => {
      const [device] = await look(em, { userId, id: deviceId });
      if (!device) throw new Refusal('DEVICE_NOT_FOUND');
      const isRevoked = await revoke(em, { userId, only: deviceId }, device.credential, at);
      const action = device.credential === 'api_key' ? 'api_key.revoke' : 'session.revoke';
      if (!isRevoked) return;
      if (action === 'api_key.revoke') audit(em, context, { action, entityId: deviceId }, at);
      else audit(em, context, { action, sessionId: deviceId }, at);
    });
    return {};
  };
}

async function revoke(
  em: EntityManager,
  which: { userId: string; only: string },
  credential: Device['credential'],
  now: Date,
): Promise<boolean> {
  if (credential === 'api_key') return (await revokeApiKeys(em, which, now)).length > 0;
  return (await revokeSessions(em, which, 'revoked', now)).some(({ wasLive }) => wasLive);
}
