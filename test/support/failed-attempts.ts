import { ada, asService } from './people.ts';
import { reasonOf } from './refusal.ts';
import { type StartOptions, start, type Wire } from './start.ts';

/** The contract's numbers of failures apply; how often one address may call is tested elsewhere. */
export const contract = { LIMITS: 'AuthService.SignIn=off', TRUSTED_PROXY_HOPS: '1' };

/** An address like no other: each in a /24 of its own. */
export const stranger = (n: number) => `10.${n >> 8}.${n & 255}.1`;

/** Two replicas behind a proxy, ada's account, and ways to try passwords from any address. */
export async function openToGuesses(wire: Wire, options: StartOptions = {}) {
  const service = await start({ env: contract, replicas: 2, ...options });
  await service.clients('json').admin.createUser(ada, asService);
  const signIn = (from: string, { email = ada.email, password = ada.password, replica = 0 } = {}) =>
    service.clients(wire, replica).auth.signIn({ email, password }, { headers: { 'x-forwarded-for': from } });
  /** How a wrong password ends. */
  const guess = (from: string, email = ada.email, replica = 0) =>
    signIn(from, { email, password: 'a wrong password', replica }).then(() => 'OK', reasonOf);
  /** Whether the right one gets in. */
  const enter = (from: string) => signIn(from).then(() => 'OK', reasonOf);
  return { service, signIn, guess, enter };
}
