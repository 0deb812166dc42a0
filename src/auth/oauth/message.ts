import type { MessageInitShape } from '@bufbuild/protobuf';
import type { SignInProviderSchema } from '../../../gen/gatehouse/v1/oauth_pb.ts';
import type { Provider } from './provider.ts';

export function providerToMessage(provider: Provider): MessageInitShape<typeof SignInProviderSchema> {
  const { name, label, postsCallback } = provider;
  return { name, label, postsCallback };
}
