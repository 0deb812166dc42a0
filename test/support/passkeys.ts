import { FactorType } from '../../gen/gatehouse/v1/factor_pb.ts';
import type { Deviation, SoftwareAuthenticator } from './software-authenticator.ts';
import type { Clients } from './start.ts';

type As = { readonly headers: Record<string, string> };
type Mfa = Pick<Clients, 'mfa'>;

/** Registers a passkey on an authenticator. */
export async function registerPasskey(
  { mfa }: Mfa,
  as: As,
  device: SoftwareAuthenticator,
  { friendlyName = '', ...deviation }: Deviation & { friendlyName?: string } = {},
) {
  const { challengeId, creationOptions } = await mfa.startPasskeyRegistration({}, as);
  const credential = device.create(creationOptions!, deviation);
  return mfa.finishPasskeyRegistration({ challengeId, credential, friendlyName }, as);
}

/** Signs in with a passkey of an authenticator. */
export async function signInWithPasskey({ mfa }: Mfa, device: SoftwareAuthenticator, deviation: Deviation = {}) {
  const { requestOptions } = await mfa.startPasskeySignIn({});
  return mfa.finishPasskeySignIn({ credential: device.get(requestOptions!, deviation) });
}

/** Enrols an authenticator as a second factor, and verifies it. */
export async function useSecurityKey(
  clients: Mfa,
  as: As,
  device: SoftwareAuthenticator,
  { friendlyName = 'key', ...deviation }: Deviation & { friendlyName?: string } = {},
) {
  const { factor } = await clients.mfa.enrollFactor({ type: FactorType.WEBAUTHN, friendlyName }, as);
  const factorId = factor!.id;
  const { challengeId, creationOptions } = await clients.mfa.challengeFactor({ factorId }, as);
  const proof = { case: 'credential', value: device.create(creationOptions!, deviation) } as const;
  return { factorId, ...(await clients.mfa.verifyFactor({ factorId, challengeId, proof }, as)) };
}

/** Challenges a factor and verifies it with its authenticator. */
export async function verifyWithDevice(
  { mfa }: Mfa,
  as: As,
  factorId: string,
  device: SoftwareAuthenticator,
  deviation: Deviation = {},
) {
  const { challengeId, requestOptions } = await mfa.challengeFactor({ factorId }, as);
  const proof = { case: 'credential', value: device.get(requestOptions!, deviation) } as const;
  return mfa.verifyFactor({ factorId, challengeId, proof }, as);
}
