import { defineEntity, p } from '@mikro-orm/postgresql';
import type { ReadOnInsert } from '../database/insert.ts';
import { uuidv7 } from '../database/uuid.ts';
import { currentEpoch, projectColumn } from '../project/project.ts';
import { mayActAt, User } from '../user/user.ts';

const ApiKeyTable = defineEntity({
  name: 'ApiKey',
  tableName: 'api_keys',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    userId: () => p.manyToOne(User).mapToPk().fieldName('user_id'),
    hash: p.blob().hidden(),
    prefix: p.string().length(20),
    name: p.string().length(100),
    /** Services and methods. Empty: all that admit API keys. */
    scopes: p.json<string[]>(),
    createdAt: p.datetime(3),
    expiresAt: p.datetime(3),
    lastUsedAt: p.datetime(3).nullable(),
    revokedAt: p.datetime(3).nullable(),
    /** That of the project when the key was inserted. */
    sessionEpoch: p.integer().default(0),
    /** The kind of login that created the key for a device. Null for a key that its user created. */
    loginKind: p.string().length(16).nullable(),
    // The device that received the key from its login.
    clientName: p.string().length(100).default(''),
    address: p.string().length(64).default(''),
    userAgent: p.string().length(512).default(''),
  },
  uniques: [{ name: 'api_keys_hash', properties: ['projectId', 'userId', 'hash'] }],
  // No column that a use changes is indexed: the row is updated within its page (HOT).
  indexes: [
    { name: 'api_keys_of_user', properties: ['userId', 'id'] },
    {
      name: 'api_keys_live',
      properties: ['userId', 'expiresAt'],
      expression: 'create index "api_keys_live" on "api_keys" ("user_id", "expires_at") where "revoked_at" is null',
    },
    {
      name: 'api_keys_of_devices',
      properties: ['userId', 'id'],
      expression: 'create index "api_keys_of_devices" on "api_keys" ("user_id", "id") where "login_kind" is not null',
    },
    { name: 'api_keys_expiry', properties: ['expiresAt'] },
    {
      name: 'api_keys_revocation',
      properties: ['revokedAt'],
      expression: 'create index "api_keys_revocation" on "api_keys" ("revoked_at") where "revoked_at" is not null',
    },
  ],
});

/** The login that creates a key for a device, and the device. */
export interface KeyLogin {
  readonly loginKind: string;
  readonly clientName: string;
  readonly address: string;
  readonly userAgent: string;
}

const noLogin = { loginKind: null, clientName: '', address: '', userAgent: '' };

export interface KeyDraft {
  /** Default: a new one. */
  readonly id?: string | undefined;
  readonly projectId: string;
  readonly userId: string;
  readonly hash: Buffer;
  readonly prefix: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly expiresAt: Date;
  readonly login?: KeyLogin | undefined;
}

/** A credential with which a program calls for its user, until it expires or is revoked. */
export class ApiKey extends ApiKeyTable.class {
  // Race: read before the insert, it might be an epoch that was over before the key existed.
  static readonly readOnInsert: ReadOnInsert = { sessionEpoch: currentEpoch };

  static create({ id, login, ...draft }: KeyDraft, now: Date): ApiKey {
    const fresh = { id: id ?? uuidv7(now), createdAt: now, lastUsedAt: null, revokedAt: null };
    return Object.assign(new ApiKey(), draft, fresh, { scopes: [...draft.scopes] }, login ?? noLogin);
  }
}
ApiKeyTable.setClass(ApiKey);

/** The part of a key that is shown to its user. Times are texts where a transaction read them. */
export interface ShownKey extends Pick<ApiKey, 'id' | 'name' | 'prefix' | 'scopes'> {
  readonly state: 'active' | 'revoked' | 'expired';
  readonly createdAt: Date | string;
  readonly expiresAt: Date | string;
  readonly lastUsedAt: Date | string | null;
  readonly revokedAt: Date | string | null;
}

/*
 * The states of a key, as SQL about the key `k` at the time `now`. No other file spells them.
 */

/** `k` is revoked: itself, or together with every session and key of its project. */
const isRevoked = (k: string) =>
  `(${k}.revoked_at is not null or ${k}.session_epoch <> ${currentEpoch(`${k}.project_id`)})`;

/** `k` is neither revoked nor expired. The state of its user is not part of it. */
export const isKeyActive = (k: string, now = ':now') => `(not ${isRevoked(k)} and ${k}.expires_at > ${now})`;

/** `k` can be used: it is active, and its user `u` is neither deleted nor banned. */
export const isKeyUsable = (k: string, u: string, now = ':now') => `(${isKeyActive(k, now)} and ${mayActAt(u, now)})`;

/** SQL: the columns of a ShownKey, of the key `k`. */
export const shownKeyColumns = `k.id, k.name, k.prefix, k.scopes, k.created_at as "createdAt", k.expires_at as "expiresAt",
     k.last_used_at as "lastUsedAt", k.revoked_at as "revokedAt",
     case when ${isRevoked('k')} then 'revoked' when k.expires_at <= :now then 'expired' else 'active' end as state`;
