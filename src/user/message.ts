import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { SystemRole, type UserSchema } from '../../gen/gatehouse/v1/user_pb.ts';
import type { ShownUser } from './shown-user.ts';
import { isBannedAt, type User } from './user.ts';

export function userToMessage(user: ShownUser, now: Date): MessageInitShape<typeof UserSchema> {
  return {
    id: user.id,
    email: user.email ?? '',
    emailVerified: user.emailVerifiedAt != null,
    name: user.name,
    isAnonymous: user.isAnonymous,
    mustChangePassword: user.mustChangePassword,
    phone: user.phone,
    jobTitle: user.jobTitle,
    timezone: user.timezone,
    locale: user.locale,
    pendingEmail: user.pendingEmail ?? '',
    role: systemRoleToMessage(user.systemRole),
    // The row of a guest from before there were providers has the default of the column.
    providers: user.isAnonymous ? [] : [...user.providers],
    createTime: timestampFromDate(user.createdAt),
    updateTime: timestampFromDate(user.updatedAt),
    ...(user.emailVerifiedAt && { emailVerifyTime: timestampFromDate(user.emailVerifiedAt) }),
    ...(user.lastSignInAt && { lastSignInTime: timestampFromDate(user.lastSignInAt) }),
    ...(user.bannedUntil && isBannedAt(user, now) && { bannedUntilTime: timestampFromDate(user.bannedUntil) }),
  };
}

type OwnUser = ShownUser & Pick<User, 'userMetadata'>;

/** A user as they see themselves, with the metadata that they may write. */
export function ownUserToMessage(user: OwnUser, now: Date): MessageInitShape<typeof UserSchema> {
  return { ...userToMessage(user, now), userMetadata: user.userMetadata as JsonObject };
}

export function systemRoleToMessage(role: string): SystemRole {
  return role === 'operator' ? SystemRole.OPERATOR : SystemRole.ENGINEER;
}

/** Of a role that the validation has accepted. */
export function systemRoleOf(role: SystemRole): 'engineer' | 'operator' {
  return role === SystemRole.OPERATOR ? 'operator' : 'engineer';
}
