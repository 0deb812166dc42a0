import type { DescMethodUnary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { AdminService } from '../gen/gatehouse/v1/admin_pb.ts';
import { AuthService } from '../gen/gatehouse/v1/auth_pb.ts';
import { pathOf, requestFrame } from './frames.ts';
import { Caller } from './generator.ts';
import { emailOf, serviceKey } from './seed.ts';
import { expectOk } from './wire.ts';

/** Calls that must be indistinguishable from outside. */
export interface Probe {
  readonly next: () => Buffer;
  /** The cause in their audit events; null if there is none. */
  readonly cause: string | null;
}

export interface Pair {
  readonly name: string;
  readonly kind: Kind;
  readonly a: Probe;
  readonly b: Probe;
  readonly isBusy?: boolean;
  /** Whether three in ten users get an imported hash first. Such a pair changes what the pairs after it measure. */
  readonly hasImports?: boolean;
  /** Whether the pair is sent to bench/leaky-app.ts, and its sides must differ. */
  readonly isLeaky?: boolean;
}

/** A method, the status of each of its calls, and the audit action with the cause. */
export interface Kind {
  readonly method: DescMethodUnary;
  readonly status: Code | 0;
  readonly action: string;
}

const { signIn: signInMethod, requestPasswordReset, requestMagicLink } = AuthService.method;
const signIn: Kind = { method: signInMethod, status: Code.Unauthenticated, action: 'auth.login_failed' };
const reset: Kind = { method: requestPasswordReset, status: 0, action: 'auth.password_reset.request' };
const magicLink: Kind = { method: requestMagicLink, status: 0, action: 'auth.magic_link.request' };

// All addresses have the same length, and so have the requests.
const people = Array.from({ length: 20 }, (_, n) => 1000 + n);
const unknownOf = (n: number) => `none${n}@example.org`;
const withoutPassword = (n: number) => `auth${n}@example.org`;
const unknown = passwordFailures(unknownOf, 'unknown_email');
const wrongPassword = passwordFailures(emailOf, 'wrong_password');
const noPassword = passwordFailures(withoutPassword, 'no_password');

// Each address is used once or twice: the decoy is drawn by address.
const crowd = Array.from({ length: 1600 }, (_, n) => 1000 + n);

export const pairs: readonly Pair[] = [
  { name: 'sign-in: unknown address', kind: signIn, a: unknown, b: wrongPassword },
  { name: 'sign-in: no password', kind: signIn, a: noPassword, b: wrongPassword },
  { name: 'sign-in: unknown address, busy machine', kind: signIn, a: unknown, b: wrongPassword, isBusy: true },
  { name: 'sign-in: control without a decoy', kind: signIn, a: unknown, b: wrongPassword, isLeaky: true },
  { name: 'reset: unknown address', ...mails(reset, 10_000) },
  { name: 'magic link: unknown address', ...mails(magicLink, 10_000) },
  { name: 'reset: control without a mail', ...mails(reset, 15_000), isLeaky: true },
  {
    name: 'sign-in: unknown address, imported hashes',
    kind: signIn,
    a: passwordFailures(unknownOf, 'unknown_email', crowd),
    b: passwordFailures(emailOf, 'wrong_password', crowd),
    hasImports: true,
  },
];

/** How many users must be seeded for all pairs. */
export const mostPeople = 20_000;

function passwordFailures(addressOf: (n: number) => string, cause: string, numbers = people): Probe {
  const requests = numbers.map((n) =>
    requestFrame(signInMethod, { email: addressOf(n), password: 'not the password' }),
  );
  let count = 0;
  return { next: () => requests[count++ % requests.length]!, cause };
}

/** Each address once: a second mail to it would be suppressed for a minute. */
function mails(kind: Kind, first: number): Pick<Pair, 'kind' | 'a' | 'b'> {
  const probe = (addressOf: (n: number) => string, cause: string | null): Probe => {
    let n = first;
    return { next: () => requestFrame(kind.method, { email: addressOf(n++) } as never), cause };
  };
  return { kind, a: probe(unknownOf, 'unknown_email'), b: probe(emailOf, null) };
}

/** Creates the users without a password. The others are seeded, or must not exist. */
export async function createPeopleWithoutPassword(address: string): Promise<void> {
  const { createUser } = AdminService.method;
  const caller = new Caller(address, pathOf(createUser), serviceKey);
  for (const n of people) expectOk(await caller.call(requestFrame(createUser, { email: withoutPassword(n) })));
  caller.close();
}
