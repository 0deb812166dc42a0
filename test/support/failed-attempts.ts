import { ada, asService } from './people.ts';
import { reasonOf } from './refusal.ts';
import { type StartOptions, start, type Wire } from './start.ts';

/** The contract's limits of failures apply. Budgets of calls are tested elsewhere. */
export const contract = { LIMITS: 'AuthService.SignIn=off', TRUSTED_PROXY_HOPS: '1' };

/** Addresses where the user has no session, each in another /24. */
export const unknownAddress = (n: number) => `10.${n >> 8}.${n & 255}.1`;

/** Two replicas behind a proxy with ada as a user, and functions that try passwords from any address. */
export async function startForAttempts(wire: Wire, options: StartOptions = {}) {
  const service = await start({ env: contract, replicas: 2, ...options });
  await service.clients('json').admin.createUser(ada, asService);
  const signIn = (from: string, { email = ada.email, password = ada.password, replica = 0 } = {}) =>
    service.clients(wire, replica).auth.signIn({ email, password }, { headers: { 'x-forwarded-for': from } });
  /** Tries a wrong password. Returns OK or the reason of the refusal. */
  const tryWrong = (from: string, email = ada.email, replica = 0) =>
    signIn(from, { email, password: 'a wrong password', replica }).then(() => 'OK', reasonOf);
  /** Tries the right password, likewise. */
  const tryRight = (from: string) => signIn(from).then(() => 'OK', reasonOf);
  return { service, signIn, tryWrong, tryRight };
}
