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

/** SQL: the columns of a ShownUser that no access token needs, for statements that call the table `u`. */
export const furtherUserColumns = `u.email_verified_at as "emailVerifiedAt", u.name, u.phone, u.job_title as "jobTitle", u.timezone,
     u.locale, u.pending_email as "pendingEmail", u.created_at as "createdAt", u.updated_at as "updatedAt",
     u.last_sign_in_at as "lastSignInAt", u.banned_until as "bannedUntil"`;

/** What `furtherUserColumns` selects. */
export type FurtherUser = Omit<
  ShownUser,
  'id' | 'email' | 'isAnonymous' | 'mustChangePassword' | 'systemRole' | 'providers'
>;

/** SQL: the columns of a ShownUser but the id. */
export const shownUserColumns = `u.email, u.is_anonymous as "isAnonymous", u.must_change_password as "mustChangePassword",
     u.system_role as "systemRole", u.providers, ${furtherUserColumns}`;
