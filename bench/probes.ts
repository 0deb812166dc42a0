import type { DescMethodUnary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { AdminService } from '../gen/gatehouse/v1/admin_pb.ts';
import { AuthService } from '../gen/gatehouse/v1/auth_pb.ts';
import { pathOf, requestFrame } from './frames.ts';
import { Caller } from './generator.ts';
import { expectOk } from './scenarios.ts';
import { emailOf, serviceKey } from './seed.ts';

/** Calls that must all look alike from outside. */
export interface Probe {
  readonly next: () => Buffer;
  /** What the audit trail says of them; null where it has nothing to add. */
  readonly cause: string | null;
}

export interface Pair {
  readonly name: string;
  readonly kind: Kind;
  readonly a: Probe;
  readonly b: Probe;
  readonly isBusy?: boolean;
  /** Whether it is asked of bench/leaky-app.ts, and must be told apart. */
  readonly isLeaky?: boolean;
}

/** A method, how each call of it must end, and the event that tells the truth. */
export interface Kind {
  readonly method: DescMethodUnary;
  readonly status: Code | 0;
  readonly action: string;
}

const { signIn: signInMethod, requestPasswordReset, requestMagicLink } = AuthService.method;
const signIn: Kind = { method: signInMethod, status: Code.Unauthenticated, action: 'auth.login_failed' };
const reset: Kind = { method: requestPasswordReset, status: 0, action: 'auth.password_reset.request' };
const magicLink: Kind = { method: requestMagicLink, status: 0, action: 'auth.magic_link.request' };

// All addresses are of one length, and so are the requests.
const people = Array.from({ length: 20 }, (_, n) => 1000 + n);
const unknownOf = (n: number) => `none${n}@example.org`;
const withoutPassword = (n: number) => `auth${n}@example.org`;
const unknown = passwordFailures(unknownOf, 'unknown_email');
const wrongPassword = passwordFailures(emailOf, 'wrong_password');
const noPassword = passwordFailures(withoutPassword, 'no_password');

export const pairs: readonly Pair[] = [
  { name: 'ENU-01 unknown address', kind: signIn, a: unknown, b: wrongPassword },
  { name: 'ENU-02 no password', kind: signIn, a: noPassword, b: wrongPassword },
  { name: 'ENU-17 unknown address, busy', kind: signIn, a: unknown, b: wrongPassword, isBusy: true },
  { name: 'control: no decoy', kind: signIn, a: unknown, b: wrongPassword, isLeaky: true },
  { name: 'ENU-04 reset of an unknown address', ...mails(reset, 10_000) },
  { name: 'ENU-07 magic link to an unknown address', ...mails(magicLink, 10_000) },
  { name: 'control: no letter', ...mails(reset, 15_000), isLeaky: true },
];

/** How many users must be seeded for all of them. */
export const mostPeople = 20_000;

function passwordFailures(addressOf: (n: number) => string, cause: string): Probe {
  const requests = people.map((n) => requestFrame(signInMethod, { email: addressOf(n), password: 'not the password' }));
  let count = 0;
  return { next: () => requests[count++ % requests.length]!, cause };
}

/** Nobody twice: whoever was sent one is sent no more for a minute. */
function mails(kind: Kind, first: number): Pick<Pair, 'kind' | 'a' | 'b'> {
  const probe = (addressOf: (n: number) => string, cause: string | null): Probe => {
    let n = first;
    return { next: () => requestFrame(kind.method, { email: addressOf(n++) } as never), cause };
  };
  return { kind, a: probe(unknownOf, 'unknown_email'), b: probe(emailOf, null) };
}

/** Creates those who sign in with something else. The others are seeded, or must not be. */
export async function createPeopleWithoutPassword(address: string): Promise<void> {
  const { createUser } = AdminService.method;
  const caller = new Caller(address, pathOf(createUser), serviceKey);
  for (const n of people) expectOk(await caller.call(requestFrame(createUser, { email: withoutPassword(n) })));
  caller.close();
}
