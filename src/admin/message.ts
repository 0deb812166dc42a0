import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import type { UserSchema } from '../../gen/gatehouse/v1/user_pb.ts';
import { userToMessage } from '../user/message.ts';
import type { User } from '../user/user.ts';

/** A user with both metadata, which AdminService reads and writes. */
export function managedUserToMessage(user: User, now: Date): MessageInitShape<typeof UserSchema> {
  const { appMetadata, userMetadata } = user;
  return {
    ...userToMessage(user, now),
    appMetadata: appMetadata as JsonObject,
    userMetadata: userMetadata as JsonObject,
  };
}
