import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { IdentitySchema, SignInProviderSchema } from '../../../gen/gatehouse/v1/oauth_pb.ts';
import type { IdentityRow } from '../../user/identity.ts';
import type { Provider } from './provider.ts';

export function identityToMessage(
  identity: Omit<IdentityRow, 'projectId' | 'userId' | 'emailKey'>,
): MessageInitShape<typeof IdentitySchema> {
  const { id, provider, subject, email, emailVerified, name, username, pictureUrl } = identity;
  const { createdAt, lastSignInAt } = identity;
  return {
    ...{ id, provider, subject, emailVerified, name, username, pictureUrl },
    email: email ?? '',
    createTime: timestampFromDate(createdAt),
    ...(lastSignInAt && { lastSignInTime: timestampFromDate(lastSignInAt) }),
  };
}

export function providerToMessage(provider: Provider): MessageInitShape<typeof SignInProviderSchema> {
  const { name, label, postsCallback } = provider;
  return { name, label, postsCallback };
}
