import { Secret, TOTP } from 'otpauth';
import { FactorType } from '../../gen/gatehouse/v1/factor_pb.ts';
import type { Clients } from './start.ts';

type As = { readonly headers: Record<string, string> };

/** The code that an authenticator app shows for a secret at a time. */
export function codeOf(secret: string, at: Date): string {
  return TOTP.generate({ secret: Secret.fromBase32(secret), timestamp: at.getTime() });
}

interface App {
  readonly factorId: string;
  readonly secret: string;
}

/** Enrols a TOTP factor, not verified yet. */
export async function enrollApp({ mfa }: Pick<Clients, 'mfa'>, as: As, friendlyName = 'phone'): Promise<App> {
  const { factor, totp } = await mfa.enrollFactor({ type: FactorType.TOTP, friendlyName }, as);
  return { factorId: factor!.id, secret: totp!.secret };
}

/** Challenges a factor and verifies it with a code. */
export async function verifyCode({ mfa }: Pick<Clients, 'mfa'>, as: As, factorId: string, code: string) {
  const { challengeId } = await mfa.challengeFactor({ factorId }, as);
  return mfa.verifyFactor({ factorId, challengeId, proof: { case: 'code', value: code } }, as);
}

/** Enrols and verifies a TOTP factor. The session is at AAL2 afterwards. */
export async function useApp(clients: Pick<Clients, 'mfa'>, as: As, now: Date, friendlyName = 'phone') {
  const app = await enrollApp(clients, as, friendlyName);
  return { ...app, ...(await verifyCode(clients, as, app.factorId, codeOf(app.secret, now))) };
}
