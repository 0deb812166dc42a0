import { hash } from 'node:crypto';

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

/** What clients name the address of a user by, which has no row of its own: a UUID of version 8 (RFC 9562). */
export function emailIdentityId(userId: string): string {
  const hex = hash('sha256', `gatehouse identity email ${userId}`);
  const variant = ((Number.parseInt(hex[16]!, 16) & 3) | 8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
