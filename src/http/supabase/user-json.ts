import type { JsonObject } from '@bufbuild/protobuf';
import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import type { Identity, User } from '../../../gen/gatehouse/v1/user_pb.ts';
import { lowerAscii } from '../../text/email-address.ts';
import { byEmail, emailIdentityId, providersInMetadata, publishedName } from '../../text/sign-in-providers.ts';

/**
 * A user as clients of Supabase Auth read one, with addresses in lower case. `phone` is always a text: the service verifies no
 * telephone numbers.
 */
export function userJson(user: User): JsonObject {
  const times = timesOf(user);
  const verifiedAt = user.emailVerifyTime && textOf(user.emailVerifyTime);
  return {
    id: user.id,
    aud: 'authenticated',
    role: 'authenticated',
    email: lowerAscii(user.email),
    phone: '',
    ...(verifiedAt && { email_confirmed_at: verifiedAt, confirmed_at: verifiedAt }),
    ...(times.signedInAt && { last_sign_in_at: times.signedInAt }),
    ...(user.pendingEmail && { new_email: lowerAscii(user.pendingEmail) }),
    ...(user.bannedUntilTime && { banned_until: textOf(user.bannedUntilTime) }),
    app_metadata: providersInMetadata(user.appMetadata ?? {}, user.providers) as JsonObject,
    user_metadata: user.userMetadata ?? {},
    identities: identitiesOf(user, times),
    created_at: times.createdAt,
    updated_at: times.updatedAt,
    is_anonymous: user.isAnonymous,
  };
}

/** The times that the user and their address share. */
function timesOf({ createTime, updateTime, lastSignInTime }: User) {
  return {
    createdAt: textOf(createTime!),
    updatedAt: textOf(updateTime!),
    signedInAt: lastSignInTime && textOf(lastSignInTime),
  };
}

/** The ways in which a user can be recognized. Their address is one, unless they registered with a provider. */
function identitiesOf(user: User, { createdAt, updatedAt, signedInAt }: ReturnType<typeof timesOf>): JsonObject[] {
  const linked = user.identities.map((each) => identityJson(user.id, each));
  if (!user.email || !user.providers.includes(byEmail)) return linked;
  const { id, emailVerified } = user;
  const email = lowerAscii(user.email);
  const address = {
    identity_id: emailIdentityId(id),
    id,
    user_id: id,
    identity_data: { sub: id, email, email_verified: emailVerified, phone_verified: false },
    provider: byEmail,
    last_sign_in_at: signedInAt ?? createdAt,
    created_at: createdAt,
    updated_at: updatedAt,
    email,
  };
  // Most users have no other.
  if (linked.length === 0) return [address];
  const order = (each: JsonObject) => user.providers.map(publishedName).indexOf(each.provider as string);
  return [address, ...linked].sort((one, other) => order(one) - order(other));
}

function identityJson(userId: string, identity: Identity): JsonObject {
  const { id, provider, subject, emailVerified, name, username, pictureUrl } = identity;
  const email = lowerAscii(identity.email);
  const updated = identity.lastSignInTime ?? identity.createTime!;
  return {
    identity_id: id,
    id: subject,
    user_id: userId,
    identity_data: {
      ...{ sub: subject, provider_id: subject, email_verified: emailVerified, phone_verified: false },
      ...(email && { email }),
      ...(name && { name, full_name: name }),
      ...(username && { preferred_username: username, user_name: username }),
      ...(pictureUrl && { picture: pictureUrl, avatar_url: pictureUrl }),
    },
    provider: publishedName(provider),
    last_sign_in_at: textOf(updated),
    created_at: textOf(identity.createTime!),
    updated_at: textOf(updated),
    ...(email && { email }),
  };
}

/** A time in RFC 3339. */
export function textOf(time: Timestamp): string {
  return timestampDate(time).toISOString();
}
