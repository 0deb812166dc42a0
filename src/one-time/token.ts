import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { cancelMails } from '../mail/mail.ts';
import { projectColumn } from '../project/project.ts';
import type { Flow } from './flow.ts';
import { type OneTimeKey, type OneTimeKind, readOneTimeValue } from './secret.ts';

const OneTimeTokenTable = defineEntity({
  name: 'OneTimeToken',
  tableName: 'one_time_tokens',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    userId: p.uuid(),
    kind: p.string().length(32).$type<OneTimeKind>(),
    target: p.string().length(320),
    hash: p.blob().hidden(),
    // Null for a mail without a code. A replica of the version before does not write them.
    nonceHash: p.blob().hidden().nullable(),
    codeHash: p.blob().hidden().nullable(),
    codeTries: p.smallint().nullable(),
    // A replica of the version before does not write it.
    flow: p.json<Flow>().nullable(),
    lifetimeSeconds: p.integer(),
    createdAt: p.datetime(3),
    sentAt: p.datetime(3).nullable(),
    expiresAt: p.datetime(3),
    usedAt: p.datetime(3).nullable(),
    voidedAt: p.datetime(3).nullable(),
  },
  uniques: [{ name: 'one_time_tokens_hash', properties: ['projectId', 'userId', 'hash'] }],
  indexes: [
    {
      name: 'one_time_tokens_open',
      properties: ['userId', 'kind'],
      expression:
        'create unique index "one_time_tokens_open" on "one_time_tokens" ("user_id", "kind") where "used_at" is null and "voided_at" is null',
    },
    { name: 'one_time_tokens_expiry', properties: ['expiresAt'] },
    {
      name: 'one_time_tokens_of_new_address',
      properties: ['projectId', 'target', 'id'],
      expression: `create index "one_time_tokens_of_new_address" on "one_time_tokens" ("project_id", "target", "id") where "kind" = 'email_change' and "used_at" is null and "voided_at" is null and "code_hash" is not null`,
    },
  ],
});

/**
 * A value that was sent to an address and does one thing once. It can no longer be used once it is used or expired, a newer
 * value of its kind is issued for the user, or a change of the user voids it.
 */
export class OneTimeToken extends OneTimeTokenTable.class {}
OneTimeTokenTable.setClass(OneTimeToken);

/** The value `t` is neither used nor void. Of one kind a user has one such value: the index one_time_tokens_open. */
export const isPending = (t: string) => `${t}.used_at is null and ${isNotVoid(t)}`;

/** No newer value of its kind and no change of the user has voided the value `t`. */
export const isNotVoid = (t: string) => `${t}.voided_at is null`;

/**
 * The value `t` of the user `u` can be used, for statements with the parameters userId, projectId, kind and now. A value proves the
 * address it was sent to, so the address has to be the user's still. An email_change proves a new address, and checks it
 * itself; an auth_code proves none.
 */
export const isUsable = (t: string, u: string) =>
  `${t}.user_id = :userId and ${t}.project_id = :projectId and ${t}.kind = :kind
     and ${isPending(t)} and ${t}.expires_at > :now and ${u}.id = :userId
     and ${u}.deleted_at is null and (${u}.banned_until is null or ${u}.banned_until <= :now)
     and (${t}.kind in ('email_change', 'auth_code') or ${u}.email_key = ${t}.target)`;

/** The user of a value, and the address that it proves. */
export interface Consumed {
  readonly user_id: string;
  readonly target: string;
  readonly flow: Flow | null;
}

const voidAll = statement<{ id: string }, { projectId: string; now: Date }>(
  'one_time_void_all',
  `with voided as (
     update one_time_tokens t set voided_at = :now where t.project_id = :projectId and ${isPending('t')} returning t.id
   ), cancelled as (${cancelMails('voided', ':now')})
   select id from voided`,
);

/** Voids every value of a project, and cancels the mails that wait with one. Returns how many there were. */
export async function voidAllOfProject(em: EntityManager, projectId: string, now: Date): Promise<number> {
  return (await voidAll(em, { projectId, now })).length;
}

interface Lookup extends OneTimeKey {
  readonly projectId: string;
  readonly kind: OneTimeKind;
  readonly now: Date;
}

const use = statement<Consumed, Lookup>(
  'one_time_consume',
  `with used as (
     update one_time_tokens t set used_at = :now from users u
     where t.hash = :hash and ${isUsable('t', 'u')}
     returning t.id, t.user_id, t.target, t.flow
   ), cancelled as (${cancelMails('used', ':now')})
   select user_id, target, flow from used`,
);

/** A value, or the key of the value that a code stands for. */
export type Presented = { readonly raw: string } | OneTimeKey;

/**
 * Uses a value: of any number of calls with it, one succeeds. Undefined for a value that is used, void, expired or unknown,
 * or of another kind or project.
 */
export async function consume(
  em: EntityManager,
  kind: OneTimeKind,
  { projectId, ...value }: { projectId: string } & Presented,
  now: Date,
): Promise<Consumed | undefined> {
  const key = 'hash' in value ? value : readOneTimeValue(projectId, kind, value.raw);
  if (!key) return undefined;
  const { userId, hash } = key;
  const [row] = await use(em, { userId, projectId, kind, hash, now });
  return row;
}

export interface Seen extends Consumed {
  readonly factor_count: number;
  readonly is_good: boolean;
  /** Why it cannot be used, unless it is good. */
  readonly state: 'used' | 'replaced' | 'expired';
  /** Whether the user has verified the address that the value was sent to. */
  readonly is_verified: boolean;
  /** Whether the user is more than a registration that waits for a proof of its address. */
  readonly is_established: boolean;
  readonly email: string | null;
  readonly name: string;
}

const see = statement<Seen, Lookup>(
  'one_time_look',
  `select t.user_id, t.target, t.flow, u.email, u.name, u.factor_count, ${isUsable('t', 'u')} as is_good,
     case when t.used_at is not null then 'used' when t.voided_at is not null then 'replaced' else 'expired' end as state,
     (u.email_verified_at is not null and u.email_key = t.target) as is_verified,
     (u.email_verified_at is not null or u.established_at is not null) as is_established
   from one_time_tokens t join users u on u.id = :userId
   where t.user_id = :userId and t.project_id = :projectId and t.hash = :hash`,
);

/** Reads a value without using it. Undefined for a value that was never issued or is of another kind. */
export async function look(
  autocommit: Autocommit,
  kind: OneTimeKind,
  { projectId, raw }: { projectId: string; raw: string },
  now: Date,
): Promise<Seen | undefined> {
  const key = readOneTimeValue(projectId, kind, raw);
  return key && lookAt(autocommit, kind, { projectId, ...key }, now);
}

/** The same for the key of a value. */
export async function lookAt(
  autocommit: Autocommit,
  kind: OneTimeKind,
  key: { projectId: string } & OneTimeKey,
  now: Date,
): Promise<Seen | undefined> {
  const { projectId, userId, hash } = key;
  const [row] = await see(autocommit, { userId, hash, projectId, kind, now });
  return row;
}

const voidPending = statement<{ id: string }, { userId: string; now: Date; kinds: readonly OneTimeKind[] | null }>(
  'one_time_void',
  `with voided as (
     update one_time_tokens t set voided_at = :now
     where t.user_id = :userId and ${isPending('t')} and (:kinds::text[] is null or t.kind = any(:kinds)) returning t.id
   ), cancelled as (${cancelMails('voided', ':now')})
   select id from voided`,
);

/**
 * The kinds that a new password voids: values that were sent or handed out before. The value that verifies the address of a
 * registration stays, since the user has no other.
 */
export const voidedByPassword = [
  ...(['password_reset', 'magic_link', 'invite', 'email_change', 'email_change_approval'] as const),
  ...(['reauthentication', 'auth_code'] as const),
] satisfies readonly OneTimeKind[];

/** Voids the pending values of a user, of all kinds or of these. */
export async function voidFor(
  em: EntityManager,
  userId: string,
  now: Date,
  kinds?: readonly OneTimeKind[],
): Promise<void> {
  await voidPending(em, { userId, now, kinds: kinds ?? null });
}
