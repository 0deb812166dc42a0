import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { UserSchema } from '../../gen/gatehouse/v1/user_pb.ts';
import type { User } from './user.ts';

export function userToMessage(user: User, now: Date): MessageInitShape<typeof UserSchema> {
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
    role: user.systemRole,
    createTime: timestampFromDate(user.createdAt),
    ...(user.lastSignInAt && { lastSignInTime: timestampFromDate(user.lastSignInAt) }),
    ...(user.bannedUntil && user.isBanned(now) && { bannedUntilTime: timestampFromDate(user.bannedUntil) }),
  };
}
