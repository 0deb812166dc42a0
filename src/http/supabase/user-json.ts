import { createHash } from 'node:crypto';
import type { JsonObject } from '@bufbuild/protobuf';
import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import type { User } from '../../../gen/gatehouse/v1/user_pb.ts';

/** A user as clients of Supabase Auth read one. `phone` is always a text: the service verifies no telephone numbers. */
export function userJson(user: User): JsonObject {
  return {
    id: user.id,
    aud: 'authenticated',
    role: 'authenticated',
    email: user.email,
    phone: '',
    ...(user.emailVerifyTime && {
      email_confirmed_at: textOf(user.emailVerifyTime),
      confirmed_at: textOf(user.emailVerifyTime),
    }),
    ...(user.lastSignInTime && { last_sign_in_at: textOf(user.lastSignInTime) }),
    ...(user.pendingEmail && { new_email: user.pendingEmail }),
    ...(user.bannedUntilTime && { banned_until: textOf(user.bannedUntilTime) }),
    app_metadata: user.isAnonymous ? (user.appMetadata ?? {}) : { ...providers, ...user.appMetadata },
    user_metadata: user.userMetadata ?? {},
    identities: identitiesOf(user),
    created_at: textOf(user.createTime!),
    updated_at: textOf(user.updateTime!),
    is_anonymous: user.isAnonymous,
  };
}

const providers = { provider: 'email', providers: ['email'] };

/** The ways in which a user can be recognized. An address is one. */
function identitiesOf(user: User): JsonObject[] {
  if (!user.email) return [];
  const { id, email, emailVerified, createTime, updateTime, lastSignInTime } = user;
  return [
    {
      identity_id: identityId(id, 'email'),
      id,
      user_id: id,
      identity_data: { sub: id, email, email_verified: emailVerified, phone_verified: false },
      provider: 'email',
      ...(lastSignInTime && { last_sign_in_at: textOf(lastSignInTime) }),
      created_at: textOf(createTime!),
      updated_at: textOf(updateTime!),
      email,
    },
  ];
}

/** An id that stays the same, for an identity that has no row of its own (a UUID of version 8, RFC 9562). */
function identityId(userId: string, provider: string): string {
  const bytes = createHash('sha256').update(`gatehouse identity ${provider} ${userId}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** A time in RFC 3339. */
export function textOf(time: Timestamp): string {
  return timestampDate(time).toISOString();
}
