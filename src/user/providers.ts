import { byEmail } from '../text/sign-in-providers.ts';

/** The part of a user that says what they sign in with. */
interface SignsIn {
  providers: string[];
}

/** Adds what a user signs in with. The caller holds the lock on the user's row. */
export function addProvider(user: SignsIn, provider: string): void {
  if (!user.providers.includes(provider)) user.providers = [...user.providers, provider];
}

/**
 * Leaves, beside the address, the providers that the user still has identities at. A user with a password or a mailbox
 * keeps one way to sign in.
 */
export function keepProviders(user: SignsIn, held: readonly string[]): void {
  const left = user.providers.filter((each) => each === byEmail || held.includes(each));
  user.providers = left.length > 0 ? left : [byEmail];
}
