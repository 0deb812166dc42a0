import { defineEntity, type EntityManager, LockMode, p } from '@mikro-orm/postgresql';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { uuidv7 } from '../database/uuid.ts';
import { Refusal } from '../errors.ts';
import { Project } from '../project/project.ts';
import { emailKey } from './email.ts';

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
    lastSignInAt: p.datetime(3).nullable(),
    createdAt: p.datetime(3),
    updatedAt: p.datetime(3),
    deletedAt: p.datetime(3).nullable(),
  },
  uniques: [{ name: 'users_email_key', properties: ['projectId', 'emailKey'] }],
  // What an operator lists users by, each in the order of bytes: that of a locale changes with the database's libraries.
  indexes: [
    listed('users_email_prefix', '"email_key" collate "C"'),
    listed('users_created', '"created_at", "id"'),
    listed('users_name', 'lower("name" collate "C"), "id"'),
    listed('users_role', '"system_role" collate "C", "created_at", "id"'),
    listed('users_role_name', '"system_role" collate "C", lower("name" collate "C"), "id"'),
    listed('users_banned', '"created_at", "id"', '"banned_until" is not null and '),
  ],
});

function listed(name: string, columns: string, condition = '') {
  const where = `${condition}"deleted_at" is null`;
  return { name, expression: `create index "${name}" on "users" ("project_id", ${columns}) where ${where}` };
}

export interface Registration {
  readonly projectId: string;
  readonly email: string;
  readonly name: string;
  /** A PHC string, or null for someone who does not sign in with a password. */
  readonly passwordHash: string | null;
  /** Whether the mailbox counts as proved. */
  readonly emailVerified?: boolean;
  readonly mustChangePassword?: boolean;
}

/** Someone who may sign in: a person, or a guest until they register. */
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
    user.createdAt = now;
    user.updatedAt = now;
    return user;
  }

  static register(registration: Registration, now: Date): User {
    const user = User.guest(registration.projectId, now);
    user.isAnonymous = false;
    user.email = registration.email.trim();
    user.emailKey = emailKey(registration.email);
    user.emailVerifiedAt = registration.emailVerified ? now : null;
    user.name = registration.name;
    user.passwordHash = registration.passwordHash;
    user.mustChangePassword = registration.mustChangePassword ?? false;
    return user;
  }

  /** Gives the user another address, not verified yet. */
  moveTo(email: string, key: string): void {
    if (key !== this.emailKey) this.emailVerifiedAt = null;
    this.email = email;
    this.emailKey = key;
    this.pendingEmail = null;
  }

  isBanned(now: Date): boolean {
    return isBannedAt(this, now);
  }

  /** Null lifts the ban. */
  ban(until: Date | null, now: Date): void {
    this.bannedUntil = until;
    this.updatedAt = now;
  }

  /** Frees the address for a new user. The row stays, so that the audit trail keeps its subject. */
  delete(now: Date): void {
    this.email = null;
    this.emailKey = null;
    this.emailVerifiedAt = null;
    this.passwordHash = null;
    this.name = '';
    this.phone = '';
    this.jobTitle = '';
    this.timezone = '';
    this.pendingEmail = null;
    this.currentAccountId = null;
    this.appMetadata = {};
    this.userMetadata = {};
    this.updatedAt = now;
    this.deletedAt = now;
  }
}
UserTable.setClass(User);

export function isBannedAt({ bannedUntil }: Pick<User, 'bannedUntil'>, now: Date): boolean {
  return bannedUntil != null && now < bannedUntil;
}

/** The end of a ban that has none: a timestamp every client can hold. */
export const forGood = new Date('9999-12-31T23:59:59Z');

/** The columns of a User, for statements that call the table `u`. */
export const userColumns = `u.id, u.project_id as "projectId", u.email, u.email_key as "emailKey",
     u.email_verified_at as "emailVerifiedAt", u.password_hash as "passwordHash",
     u.must_change_password as "mustChangePassword", u.name, u.is_anonymous as "isAnonymous", u.phone,
     u.job_title as "jobTitle", u.timezone, u.locale, u.pending_email as "pendingEmail", u.role,
     u.system_role as "systemRole", u.current_account_id as "currentAccountId", u.app_metadata as "appMetadata",
     u.user_metadata as "userMetadata", u.banned_until as "bannedUntil", u.last_sign_in_at as "lastSignInAt",
     u.created_at as "createdAt", u.updated_at as "updatedAt", u.deleted_at as "deletedAt"`;

const byEmail = statement<User>(
  'user_by_email',
  `select ${userColumns} from users u where u.project_id = $1 and u.email_key = $2 and u.deleted_at is null`,
);

/** What `byEmail` finds: a user's columns, without the verbs. */
export type UserRow = Omit<User, 'isBanned' | 'ban' | 'delete'>;

/** The user with this address, whatever its spelling. */
export async function findByEmail(
  autocommit: Autocommit,
  projectId: string,
  email: string,
): Promise<UserRow | undefined> {
  const [row] = await byEmail(autocommit, [projectId, emailKey(email)]);
  return row;
}

/** Takes a tenth of a millisecond, which an unknown address would not: so only once the password was right. */
export function userOf(row: UserRow): User {
  return Object.assign(new User(), row);
}

/** Reads a user that is not deleted, or throws USER_NOT_FOUND. */
export async function findUser(em: EntityManager, projectId: string, id: string): Promise<User> {
  return (await em.findOne(User, { id, projectId, deletedAt: null })) ?? missing();
}

/**
 * Reads a user and keeps the row locked until the transaction ends.
 *
 * Sign-in writes the same row before it opens a session. So whoever locks the user, changes their state and then ends
 * their sessions leaves no session behind that was opened on the old state.
 */
export async function lockUser(em: EntityManager, projectId: string, id: string): Promise<User> {
  const lockMode = LockMode.PESSIMISTIC_WRITE;
  return (await em.findOne(User, { id, projectId, deletedAt: null }, { lockMode })) ?? missing();
}

/** The same for several, in one order: two calls would each wait for the other. Those who are deleted are left out. */
export async function lockUsers(
  em: EntityManager,
  projectId: string,
  ids: readonly string[],
): Promise<ReadonlyMap<string, User>> {
  const where = { id: { $in: [...ids] }, projectId, deletedAt: null };
  const users = await em.find(User, where, { lockMode: LockMode.PESSIMISTIC_WRITE, orderBy: { id: 1 } });
  return new Map(users.map((user) => [user.id, user]));
}

function missing(): never {
  throw new Refusal('USER_NOT_FOUND');
}
