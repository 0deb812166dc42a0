import type { User } from './user.ts';

/** The part of a user that is shown to them. */
export type ShownUser = Pick<
  User,
  | 'id'
  | 'email'
  | 'emailVerifiedAt'
  | 'name'
  | 'isAnonymous'
  | 'mustChangePassword'
  | 'phone'
  | 'jobTitle'
  | 'timezone'
  | 'locale'
  | 'pendingEmail'
  | 'systemRole'
  | 'createdAt'
  | 'updatedAt'
  | 'lastSignInAt'
  | 'bannedUntil'
> & { readonly providers: readonly string[] };

/** SQL: the columns of a ShownUser that statements about a session do not read anyway, for those that call the table `u`. */
export const furtherUserColumns = `u.email_verified_at as "emailVerifiedAt", u.name, u.phone, u.job_title as "jobTitle", u.timezone,
     u.locale, u.pending_email as "pendingEmail", u.created_at as "createdAt", u.updated_at as "updatedAt",
     u.last_sign_in_at as "lastSignInAt", u.banned_until as "bannedUntil"`;

/** What `furtherUserColumns` selects. */
export type FurtherUser = Omit<
  ShownUser,
  'id' | 'email' | 'isAnonymous' | 'mustChangePassword' | 'systemRole' | 'providers'
>;

/** What statements about a session read of its user. */
interface UserOfSession {
  readonly user_id: string;
  readonly email: string | null;
  readonly is_anonymous: boolean;
  readonly must_change_password: boolean;
  readonly system_role: string;
  readonly providers: readonly string[];
}

/** The row of a statement about a session, with its user. */
export function withShownUser<Row extends UserOfSession & FurtherUser>(row: Row): Omit<Row, 'id'> & ShownUser {
  return {
    ...row,
    id: row.user_id,
    isAnonymous: row.is_anonymous,
    mustChangePassword: row.must_change_password,
    systemRole: row.system_role,
  };
}

/** SQL: the columns of a ShownUser but the id. */
export const shownUserColumns = `u.email, u.is_anonymous as "isAnonymous", u.must_change_password as "mustChangePassword",
     u.system_role as "systemRole", u.providers, ${furtherUserColumns}`;
