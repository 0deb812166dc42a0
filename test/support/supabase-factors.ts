import type { GoTrueClient } from '@supabase/auth-js';
import { codeOf } from './authenticator.ts';
import type { TestService } from './start.ts';

/** Enrols an authenticator app, not verified yet. */
export async function enrollTotp(auth: GoTrueClient, friendlyName = 'phone') {
  const { data, error } = await auth.mfa.enroll({ factorType: 'totp', friendlyName });
  if (error) throw error;
  return { factorId: data.id, secret: data.totp.secret, ...data };
}

/** Enrols an authenticator app and verifies it. The client's session is at AAL2 afterwards. */
export async function useTotp(service: TestService, auth: GoTrueClient, friendlyName = 'phone') {
  const { factorId, secret } = await enrollTotp(auth, friendlyName);
  return { factorId, secret, session: await verifyTotp(service, auth, { factorId, secret }) };
}

/** Challenges an authenticator app and verifies its code of now. */
export async function verifyTotp(
  service: TestService,
  auth: GoTrueClient,
  { factorId, secret }: { factorId: string; secret: string },
) {
  const { data, error } = await auth.mfa.challengeAndVerify({ factorId, code: codeOf(secret, service.now()) });
  if (error) throw error;
  return data;
}

/** Another code than the right one. */
export function wrongCodeOf(secret: string, at: Date): string {
  return codeOf(secret, at).replace(/^./, (digit) => `${(Number(digit) + 1) % 10}`);
}
