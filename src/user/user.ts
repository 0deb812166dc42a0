import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { insert } from '../database/insert.ts';
import { anyOf, statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Refusal } from '../errors.ts';
import { Project } from '../project/project.ts';
import { trimAddress } from '../text/email-address.ts';
import { byEmail } from '../text/sign-in-providers.ts';
import { emailKey, explainTakenAddress } from './email.ts';
import { userIndexes } from './user-indexes.ts';

export type Metadata = Record<string, unknown>;

const UserTable = defineEntity({
  name: 'User',
  tableName: 'users',
  properties: {
    id: p.uuid().primary(),
    projectId: () => p.manyToOne(Project).mapToPk().fieldName('project_id'),
    email: p.string().length(254).nullable(),
    emailKey: p.string().length(320).nullable(),
    emailVerifiedAt: p.datetime(3).nullable(),
    // A replica of the version before does not write it.
    establishedAt: p.datetime(3).nullable(),
    passwordHash: p.text().nullable().hidden(),
    mustChangePassword: p.boolean().default(false),
    name: p.string().length(200).default(''),
    isAnonymous: p.boolean().default(false),
    phone: p.string().length(32).default(''),
    jobTitle: p.string().length(200).default(''),
    timezone: p.string().length(64).default(''),
    locale: p.string().length(35).default(''),
    pendingEmail: p.string().length(254).nullable(),
    role: p.string().length(64).default('authenticated'),
    systemRole: p.string().length(16).default('engineer'),
    currentAccountId: p.uuid().nullable(),
    appMetadata: p.json<Metadata>(),
    userMetadata: p.json<Metadata>(),
    bannedUntil: p.datetime(3).nullable(),
    /** What the user signs in with, in the order in which it was added. A replica of the version before does not write it. */
    providers: p.json<string[]>().default(['email']),
    /** Verified second factors. No look-up of a call asks the table of factors. */
    factorCount: p.smallint().default(0),
    lastSignInAt: p.datetime(3).nullable(),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3),
    deletedAt: p.datetime(3).nullable(),
  },
  uniques: [{ name: 'users_email_key', properties: ['projectId', 'emailKey'] }],
  indexes: userIndexes,
});

export interface Registration {
  readonly projectId: string;
  readonly email: string;
  readonly name: string;
  /** A PHC string, or null for a user without a password. */
  readonly passwordHash: string | null;
  /** Whether the address counts as verified. */
  readonly emailVerified?: boolean;
  readonly mustChangePassword?: boolean;
  readonly appMetadata?: Metadata;
  readonly userMetadata?: Metadata;
}

/** A person who may sign in, or a guest who has not registered yet. */
export class User extends UserTable.class {
  static guest(projectId: string, now: Date): User {
    const user = new User();
    user.id = uuidv7(now);
    user.projectId = projectId;
    user.isAnonymous = true;
    user.mustChangePassword = false;
    user.name = '';
    user.phone = '';
    user.jobTitle = '';
    user.timezone = '';
    user.locale = '';
    user.role = 'authenticated';
    user.systemRole = 'engineer';
    user.appMetadata = {};
    user.userMetadata = {};
    user.providers = [];
    user.createdAt = now;
    user.updatedAt = now;
    user.factorCount = 0;
    return user;
  }

  static register(registration: Registration, now: Date): User {
    const user = User.guest(registration.projectId, now);
    user.isAnonymous = false;
    user.providers = [byEmail];
    user.email = trimAddress(registration.email);
    user.emailKey = emailKey(registration.email);
    user.emailVerifiedAt = registration.emailVerified ? now : null;
    user.name = registration.name;
    user.passwordHash = registration.passwordHash;
    user.mustChangePassword = registration.mustChangePassword ?? false;
    user.appMetadata = registration.appMetadata ?? {};
    user.userMetadata = registration.userMetadata ?? {};
    return user;
  }

  /**
   * Gives the user another address, which is not verified yet. From then on the user is established: no registration that
   * the owner of the address could reject.
   */
  moveTo(email: string, now: Date): void {
    this.emailVerifiedAt = null;
    this.establishedAt = now;
    this.email = trimAddress(email);
    this.emailKey = emailKey(email);
    this.pendingEmail = null;
  }

  isBanned(now: Date): boolean {
    return isBannedAt(this, now);
  }

  /** Bans the user until a time. Null lifts the ban. */
  ban(until: Date | null, now: Date): void {
    this.bannedUntil = until;
    this.updatedAt = now;
  }

  /** Deletes the user's data and frees the address. The row stays, since audit events refer to it. */
  delete(now: Date): void {
    this.email = null;
    this.emailKey = null;
    this.emailVerifiedAt = null;
    this.passwordHash = null;
    this.pendingEmail = null;
    this.currentAccountId = null;
    this.appMetadata = {};
    this.providers = [];
    this.clearProfile();
    this.updatedAt = now;
    this.deletedAt = now;
  }

  /** Removes what users say of themselves. */
  clearProfile(): void {
    this.name = '';
    this.phone = '';
    this.jobTitle = '';
    this.timezone = '';
    this.locale = '';
    this.userMetadata = {};
  }
}
UserTable.setClass(User);

export function isBannedAt({ bannedUntil }: Pick<User, 'bannedUntil'>, now: Date): boolean {
  return bannedUntil != null && now < bannedUntil;
}

/** SQL: whether a ban that is stored in `u` is not in force at a time. */
export const isUnbannedAt = (u: string, now = ':now') => `(${u}.banned_until is null or ${u}.banned_until <= ${now})`;

/**
 * SQL: whether the user `u` may act at a time: exists (an outer join may have found none), and is neither deleted nor
 * banned.
 */
export const mayActAt = (u: string, now = ':now') =>
  `(${u}.id is not null and ${u}.deleted_at is null and ${isUnbannedAt(u, now)})`;

/** The end of a ban without an end: a timestamp that every client can represent. */
export const forGood = new Date('9999-12-31T23:59:59Z');

const storedProperties = `id projectId email emailKey emailVerifiedAt establishedAt passwordHash mustChangePassword name isAnonymous
  phone jobTitle timezone locale pendingEmail role systemRole currentAccountId appMetadata userMetadata
  providers bannedUntil factorCount lastSignInAt createdAt updatedAt deletedAt`;

/** SQL: the columns of a User by their properties. */
const columns = storedProperties
  .split(/\s+/)
  .map((property) => ({ property, column: property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) }));

/** SQL: the columns of a User, of the table or common table expression `u`. */
export const userColumnsOf = (u: string) =>
  columns.map(({ property, column }) => `${u}.${column} as "${property}"`).join(', ');

/** SQL: the columns of a User, for statements that call the table `u`. */
export const userColumns = userColumnsOf('u');

/** SQL: the same columns under their own names. */
export const storedUserColumns = columns.map(({ column }) => `u.${column}`).join(', ');

/** A user's columns, without the methods. */
export type UserRow = Omit<User, 'moveTo' | 'isBanned' | 'ban' | 'delete' | 'clearProfile'>;

const findByKey = statement<UserRow, { projectId: string; key: string }>(
  'user_by_email',
  `select ${userColumns} from users u where u.project_id = :projectId and u.email_key = :key and u.deleted_at is null`,
);

/** The user with this address in any spelling. */
export async function findByEmail(
  on: EntityManager | Autocommit,
  projectId: string,
  email: string,
): Promise<UserRow | undefined> {
  const [row] = await findByKey(on, { projectId, key: emailKey(email) });
  return row;
}

/**
 * The user of a row. Takes a tenth of a millisecond, which an unknown address does not cost: before the password has
 * matched, this call would reveal that the address is known.
 */
export function userOf(row: UserRow): User {
  return Object.assign(new User(), row);
}

/**
 * Creates a registered user. Of any number of calls with one address one succeeds, and the others throw
 * EMAIL_ALREADY_REGISTERED.
 */
export async function createUser(em: EntityManager, registration: Registration, now: Date): Promise<User> {
  const user = User.register(registration, now);
  await insert(em, user).catch(explainTakenAddress);
  return user;
}

/** Reads a user. Throws USER_NOT_FOUND for a user who does not exist or is deleted. */
export async function findUser(em: EntityManager, projectId: string, id: string): Promise<User> {
  return (await em.findOne(User, { id, projectId, deletedAt: null })) ?? missing();
}

/** The rows that each transaction has locked, by id. Undefined for a user who does not exist. */
const lockedRows = new WeakMap<EntityManager, Map<string, UserRow | undefined>>();

/** Notes that the transaction holds the locks of these users, so that lockUser needs no statement. */
export function noteLocked(em: EntityManager, ids: readonly string[], rows: readonly UserRow[]): void {
  const known = lockedRows.get(em) ?? new Map<string, UserRow | undefined>();
  for (const id of ids) known.set(id, undefined);
  for (const row of rows) known.set(row.id, row);
  lockedRows.set(em, known);
}

const lockRows = statement<UserRow, { projectId: string; ids: readonly string[] }>(
  'users_lock',
  `select ${userColumns} from users u where u.id = ${anyOf(':ids')} and u.project_id = :projectId
   order by u.id for no key update of u`,
);

/**
 * Reads a user and locks the row until the transaction ends. Throws USER_NOT_FOUND. Within `change`, a user who is named in
 * its locks is locked already.
 *
 * A sign-in writes the same row before it opens a session. A transaction that locks the user, changes their state and then
 * revokes their sessions therefore misses no session that was opened with the old state.
 */
export async function lockUser(em: EntityManager, projectId: string, id: string): Promise<User> {
  const users = await lockUsers(em, projectId, [id]);
  return users.get(id.toLowerCase()) ?? missing();
}

/** The same for several users, always in the order of their ids, which prevents deadlocks. Skips deleted users. */
export async function lockUsers(
  em: EntityManager,
  projectId: string,
  named: readonly string[],
): Promise<ReadonlyMap<string, User>> {
  // A UUID has two spellings.
  const ids = named.map((id) => id.toLowerCase());
  const unlocked = ids.filter((id) => !lockedRows.get(em)?.has(id));
  if (unlocked.length > 0) noteLocked(em, unlocked, await lockRows(em, { projectId, ids: unlocked }));
  const rows = ids.map((id) => lockedRows.get(em)?.get(id)).filter((row) => row !== undefined);
  const present = rows.filter((row) => row.deletedAt === null && row.projectId === projectId);
  return new Map(present.map((row) => [row.id, em.merge(User, row, { convertCustomTypes: true })]));
}

function missing(): never {
  throw new Refusal('USER_NOT_FOUND');
}
