import { Refusal } from '../../errors.ts';

/** Another user has the identity, or an address that the provider has not verified. */
export function identityConflict(conflict: 'identity' | 'email', userId?: string): Refusal {
  const event = { action: 'auth.login_failed', userId, cause: `identity_conflict_${conflict}` } as const;
  return new Refusal('IDENTITY_CONFLICT', { metadata: { conflict }, event });
}
