import { createHash, randomBytes } from 'node:crypto';
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import { insert, type ReadOnInsert } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { currentEpoch, projectColumn } from '../project/project.ts';
import type { Origin } from '../rpc/origin.ts';
import type { Session } from './session.ts';

const TrustedDeviceTable = defineEntity({
  name: 'TrustedDevice',
  tableName: 'trusted_devices',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    userId: p.uuid(),
    hash: p.blob().hidden(),
    address: p.string().length(64),
    userAgent: p.string().length(512),
    createdAt: p.datetime(3),
    lastUsedAt: p.datetime(3),
    expiresAt: p.datetime(3),
    /** That of the project when the row was inserted. */
    sessionEpoch: p.integer().default(0),
  },
  uniques: [{ name: 'trusted_devices_hash', properties: ['projectId', 'userId', 'hash'] }],
  indexes: [
    { name: 'trusted_devices_of_user', properties: ['userId', 'id'] },
    { name: 'trusted_devices_expiry', properties: ['expiresAt'] },
  ],
});

/** A device on which a user has verified a second factor, and is not asked for one again for some days. */
export class TrustedDevice extends TrustedDeviceTable.class {
  static readonly readOnInsert: ReadOnInsert = { sessionEpoch: currentEpoch };
}
TrustedDeviceTable.setClass(TrustedDevice);

const prefix = 'ghtd_';
/** Devices that one user can trust. A further one takes the place of the one that was used least recently. */
const most = 20;

/** A text that names its user: that of another user matches no row. */
function mintToken(userId: string): string {
  return `${prefix}${Buffer.concat([idBytes(userId), randomBytes(32)]).toString('base64url')}`;
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(`gatehouse trusted device ${token}`).digest();
}

function isTokenOf(userId: string, token: string): boolean {
  if (!token.startsWith(prefix)) return false;
  return Buffer.from(token.slice(prefix.length), 'base64url').subarray(0, 16).equals(idBytes(userId));
}

function idBytes(userId: string): Buffer {
  return Buffer.from(userId.replaceAll('-', ''), 'hex');
}

const trim = statement<{ id: string }, { userId: string }>(
  'trusted_devices_trim',
  `delete from trusted_devices where user_id = :userId and id in (
     select id from trusted_devices where user_id = :userId order by last_used_at desc, id desc offset ${most - 1})
   returning id`,
);

interface Trusted {
  readonly projectId: string;
  readonly userId: string;
  readonly origin: Origin;
  readonly days: number;
}

/** Trusts a device. Returns the only copy of its token. The caller holds the lock of the user's row. */
export async function trustDevice(
  em: EntityManager,
  { projectId, userId, origin, days }: Trusted,
  now: Date,
): Promise<{ readonly id: string; readonly token: string; readonly expiresAt: Date }> {
  const token = mintToken(userId);
  const expiresAt = new Date(now.getTime() + days * 86_400_000);
  const { address, userAgent } = origin;
  const row = { id: uuidv7(now), projectId, userId, hash: hashOf(token), address, userAgent, expiresAt };
  await trim(em, { userId });
  await insert(em, Object.assign(new TrustedDevice(), row, { createdAt: now, lastUsedAt: now }));
  return { id: row.id, token, expiresAt };
}

/** SQL: the device `d` is trusted. */
const isTrusted = (d: string) => `${d}.expires_at > :now and ${d}.session_epoch = ${currentEpoch(`${d}.project_id`)}`;

const use = statement<{ id: string }, { userId: string; sessionId: string; hash: Buffer; now: Date }>(
  'trusted_device_use',
  `with used as (
     update trusted_devices d set last_used_at = :now
     where d.user_id = :userId and d.hash = :hash and ${isTrusted('d')} returning d.id
   )
   update sessions s set trusted_device_id = used.id from used where s.user_id = :userId and s.id = :sessionId
   returning used.id`,
);

/**
 * Notes that a new session was opened on a trusted device. Returns false for a token that is unknown, expired, revoked or
 * another user's, which is no error: the user verifies a factor as on any device. The caller holds the lock of the user's row.
 */
export async function recognizeDevice(em: EntityManager, session: Session, token: string, now: Date): Promise<boolean> {
  const { id: sessionId, userId } = session;
  if (!isTokenOf(userId, token)) return false;
  const [used] = await use(em, { userId, sessionId, hash: hashOf(token), now });
  session.trustedDeviceId = used?.id ?? null;
  return used !== undefined;
}

const forget = statement<{ id: string }, { userId: string; only: string | null }>(
  'trusted_devices_forget',
  `with forgotten as (
     delete from trusted_devices d where d.user_id = :userId and (:only::uuid is null or d.id = :only) returning d.id
   ), sessions_on_them as (
     update sessions s set trusted_device_id = null from forgotten
     where s.user_id = :userId and s.trusted_device_id = forgotten.id and s.revoked_at is null
   )
   select id from forgotten`,
);

/**
 * Ends the trust in the devices of a user, all of them or `only` one, also in the sessions that are open on them. Returns
 * whether there was one. The caller holds the lock of the user's row.
 */
export async function forgetDevices(
  em: EntityManager,
  { userId, only }: { userId: string; only?: string },
): Promise<boolean> {
  return (await forget(em, { userId, only: only ?? null })).length > 0;
}

/** The part of a trusted device that is shown to its user. */
export type ShownDevice = Pick<
  TrustedDevice,
  'id' | 'address' | 'userAgent' | 'createdAt' | 'lastUsedAt' | 'expiresAt'
>;

/** SQL: the trusted devices of a user at `:now`, newest first, as JSON. There are few. */
export const trustedDevicesOf = (userId: string): string =>
  `coalesce((select json_agg(json_build_object('id', d.id, 'address', d.address, 'userAgent', d.user_agent,
       'createdAt', d.created_at, 'lastUsedAt', d.last_used_at, 'expiresAt', d.expires_at) order by d.id desc)
     from trusted_devices d where d.user_id = ${userId} and ${isTrusted('d')}), '[]')`;
