import { createHash } from 'node:crypto';

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
  const bytes = createHash('sha256').update(`gatehouse identity email ${userId}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
