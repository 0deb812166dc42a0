import type { User } from './user.ts';

/** The provider of users who sign in with their address: with a password, or by mail. */
export const byEmail = 'email';

/** Supabase's name of a provider, which programs compare. */
export function publishedName(provider: string): string {
  return provider === 'microsoft' ? 'azure' : provider;
}

/** Metadata of a user with the names of their providers, as programs that know Supabase's tokens read them. */
export function providersInMetadata(
  appMetadata: Readonly<Record<string, unknown>>,
  providers: readonly string[],
): Readonly<Record<string, unknown>> {
  const names = providers.map(publishedName);
  return names.length === 0 ? appMetadata : { ...appMetadata, provider: names[0], providers: names };
}

/** Adds what a user signs in with. The caller holds the lock on the user's row. */
export function addProvider(user: Pick<User, 'providers'>, provider: string): void {
  if (!user.providers.includes(provider)) user.providers = [...user.providers, provider];
}

/**
 * Leaves, beside the address, the providers that the user still has identities at. A user with a password or a mailbox
 * keeps one way to sign in.
 */
export function keepProviders(user: Pick<User, 'providers'>, held: readonly string[]): void {
  const left = user.providers.filter((each) => each === byEmail || held.includes(each));
  user.providers = left.length > 0 ? left : [byEmail];
}
