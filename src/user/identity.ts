import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { insertIfFree } from '../database/insert.ts';
import { anyOf, statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Refusal } from '../errors.ts';
import { projectColumn } from '../project/project.ts';
import { emailKey } from './email.ts';
import { addProvider, keepProviders } from './providers.ts';
import type { User } from './user.ts';

const IdentityTable = defineEntity({
  name: 'Identity',
  tableName: 'identities',
  properties: {
    id: p.uuid().primary(),
    projectId: () => projectColumn(),
    userId: p.uuid(),
    provider: p.string().length(32),
    subject: p.string().length(255),
    email: p.string().length(254).nullable(),
    emailKey: p.string().length(320).nullable(),
    emailVerified: p.boolean(),
    name: p.string().length(200),
    username: p.string().length(200),
    pictureUrl: p.string().length(2000),
    createdAt: p.datetime(3),
    lastSignInAt: p.datetime(3).nullable(),
  },
  uniques: [{ name: 'identities_subject', properties: ['projectId', 'provider', 'subject'] }],
  indexes: [{ name: 'identities_of_user', properties: ['userId'] }],
});

/** A user of a provider, with whom one user of ours signs in. The provider and its subject name it, never an address. */
export class Identity extends IdentityTable.class {}
IdentityTable.setClass(Identity);

/** What a provider has proved. */
export interface ProvedIdentity {
  readonly provider: string;
  readonly subject: string;
  /** Undefined where the provider reveals none. */
  readonly email?: string | undefined;
  /** Whether the provider has verified the address, and may be believed. */
  readonly emailVerified: boolean;
  readonly name: string;
  readonly username: string;
  readonly pictureUrl: string;
}

/** So that rows cannot pile up. */
export const identitiesPerUser = 20;

const columns = `i.id, i.project_id as "projectId", i.user_id as "userId", i.provider, i.subject, i.email, i.email_key as "emailKey",
     i.email_verified as "emailVerified", i.name, i.username, i.picture_url as "pictureUrl", i.created_at as "createdAt",
     i.last_sign_in_at as "lastSignInAt"`;

/** An identity as the statements return it. */
export type IdentityRow = Pick<Identity, keyof Identity>;

interface Subject {
  readonly projectId: string;
  readonly provider: string;
  readonly subject: string;
}

const bySubject = statement<{ id: string; userId: string }, Subject>(
  'identity_by_subject',
  `select id, user_id as "userId" from identities
   where project_id = :projectId and provider = :provider and subject = :subject`,
);

/** The identity that a provider has proved, and whose it is. */
export async function findIdentity(em: EntityManager, { projectId, provider, subject }: Subject) {
  const [row] = await bySubject(em, { projectId, provider, subject });
  return row;
}

interface Seen {
  readonly id: string;
  readonly userId: string;
  readonly email: string | null;
  readonly emailKey: string | null;
  readonly emailVerified: boolean;
  readonly name: string;
  readonly username: string;
  readonly pictureUrl: string;
  readonly now: Date;
}

// Apple sends the name once and may leave out the address: what a provider does not say stays as it was.
const see = statement<IdentityRow, Seen>(
  'identity_seen',
  `update identities i set last_sign_in_at = :now,
     email = coalesce(:email, i.email), email_key = coalesce(:emailKey, i.email_key),
     email_verified = case when :email::text is null then i.email_verified else :emailVerified end,
     name = coalesce(nullif(:name, ''), i.name), username = coalesce(nullif(:username, ''), i.username),
     picture_url = coalesce(nullif(:pictureUrl, ''), i.picture_url)
   where i.user_id = :userId and i.id = :id
   returning ${columns}`,
);

/** Notes what the provider says now. Undefined when the identity was unlinked meanwhile. */
export async function noteSeen(
  em: EntityManager,
  { id, userId }: Pick<Identity, 'id' | 'userId'>,
  proved: ProvedIdentity,
  now: Date,
): Promise<IdentityRow | undefined> {
  const [row] = await see(em, { id, userId, ...shownOf(proved), now });
  return row && { ...row, ...timesOf(row) };
}

/** In a transaction the ORM's connection returns times as texts. */
function timesOf({ createdAt, lastSignInAt }: IdentityRow) {
  return { createdAt: new Date(createdAt), lastSignInAt: lastSignInAt ? new Date(lastSignInAt) : null };
}

function shownOf({ email, emailVerified, name, username, pictureUrl }: ProvedIdentity) {
  const address = email ?? null;
  return { email: address, emailKey: address && emailKey(address), emailVerified, name, username, pictureUrl };
}

const countOf = statement<{ count: number }, { userId: string }>(
  'identities_count',
  'select count(*)::int as count from identities where user_id = :userId',
);

/**
 * Links an identity to a user. The caller holds the lock on the user's row. Undefined when somebody has the identity. Throws
 * IDENTITY_LIMIT_REACHED.
 */
export async function linkIdentity(
  em: EntityManager,
  user: Pick<User, 'id' | 'projectId' | 'providers'>,
  proved: ProvedIdentity,
  now: Date,
): Promise<IdentityRow | undefined> {
  const { id: userId, projectId } = user;
  const [held] = await countOf(em, { userId });
  if (held!.count >= identitiesPerUser) throw new Refusal('IDENTITY_LIMIT_REACHED');
  const { provider, subject } = proved;
  const about = { id: uuidv7(now), projectId, userId, provider, subject, createdAt: now, lastSignInAt: now };
  const identity = Object.assign(new Identity(), about, shownOf(proved));
  if (!(await insertIfFree(em, identity))) return undefined;
  addProvider(user, provider);
  return identity;
}

const ofUser = statement<IdentityRow, { userId: string }>(
  'identities_of_user',
  `select ${columns} from identities i where i.user_id = :userId order by i.id`,
);

/** SQL: the same as JSON, without what is not shown. */
export const shownIdentitiesOf = (userId: string): string =>
  `coalesce((select json_agg(json_build_object('id', i.id, 'provider', i.provider, 'subject', i.subject, 'email', i.email,
       'emailVerified', i.email_verified, 'name', i.name, 'username', i.username, 'pictureUrl', i.picture_url,
       'createdAt', i.created_at, 'lastSignInAt', i.last_sign_in_at) order by i.id)
     from identities i where i.user_id = ${userId}), '[]')`;

/** The identities of a user, the oldest first. */
export function identitiesOf(on: EntityManager | Autocommit, userId: string): Promise<IdentityRow[]> {
  return ofUser(on, { userId });
}

const ofUsers = statement<IdentityRow, { ids: readonly string[] }>(
  'identities_of_users',
  `select ${columns} from identities i where i.user_id = ${anyOf(':ids')} order by i.id`,
);

/** The same for several users. */
export function identitiesOfAll(on: Autocommit, ids: readonly string[]): Promise<IdentityRow[]> {
  return ofUsers(on, { ids });
}

const remove = statement<{ provider: string }, { userId: string; id: string }>(
  'identity_remove',
  'delete from identities where user_id = :userId and id = :id returning provider',
);

/** Removes one of the identities that the user holds. The caller holds the lock on the user's row. */
export async function removeIdentity(
  em: EntityManager,
  user: Pick<User, 'id' | 'providers'>,
  held: readonly IdentityRow[],
  id: string,
): Promise<void> {
  await remove(em, { userId: user.id, id });
  const left = held.filter((each) => each.id !== id);
  keepProviders(
    user,
    left.map(({ provider }) => provider),
  );
}

const removeAll = statement<object, { userId: string }>(
  'identities_remove',
  'delete from identities where user_id = :userId returning 1',
);

/** Removes the identities of a user who is deleted: the same person can register with them again. */
export async function removeIdentities(em: EntityManager, userId: string): Promise<void> {
  await removeAll(em, { userId });
}

const removeUnproven = statement<object, { userId: string; emailKey: string }>(
  'identities_remove_unproven',
  `delete from identities where user_id = :userId and (email_verified and email_key = :emailKey) is not true returning 1`,
);

/** Removes the identities whose provider has not verified the address that was proved now. */
export async function removeUnprovenIdentities(
  em: EntityManager,
  user: Pick<User, 'id' | 'emailKey' | 'providers'>,
): Promise<void> {
  const removed = await removeUnproven(em, { userId: user.id, emailKey: user.emailKey ?? '' });
  if (removed.length === 0) return;
  const left = await identitiesOf(em, user.id);
  keepProviders(
    user,
    left.map(({ provider }) => provider),
  );
}

/**
 * The refusal of a password for a user who has none: USE_OAUTH_PROVIDER, whose metadata names the providers that the user signs
 * in with, or PASSWORD_NOT_SET.
 */
export async function useProvider(on: Autocommit, userId: string): Promise<Refusal> {
  const providers = new Set((await identitiesOf(on, userId)).map(({ provider }) => provider));
  if (providers.size === 0) return new Refusal('PASSWORD_NOT_SET');
  return new Refusal('USE_OAUTH_PROVIDER', { metadata: { providers: [...providers].join(',') } });
}
