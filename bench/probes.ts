import { AdminService } from '../gen/gatehouse/v1/admin_pb.ts';
import { AuthService } from '../gen/gatehouse/v1/auth_pb.ts';
import { pathOf, requestFrame } from './frames.ts';
import { Caller } from './generator.ts';
import { expectOk } from './scenarios.ts';
import { emailOf, serviceKey } from './seed.ts';

/** Sign-ins that must all be refused alike. */
export interface Probe {
  readonly requests: readonly Buffer[];
  /** What the audit trail says of them. */
  readonly cause: string;
}

export interface Pair {
  readonly name: string;
  readonly a: Probe;
  readonly b: Probe;
  readonly isBusy?: boolean;
  /** Whether it is asked of bench/leaky-app.ts, and must be told apart. */
  readonly isLeaky?: boolean;
}

// All addresses are of one length, and so are the requests.
const people = Array.from({ length: 20 }, (_, n) => 1000 + n);
const withoutPassword = (n: number) => `auth${n}@example.org`;
const unknown = probe((n) => `none${n}@example.org`, 'unknown_email');
const wrongPassword = probe(emailOf, 'wrong_password');
const noPassword = probe(withoutPassword, 'no_password');

export const pairs: readonly Pair[] = [
  { name: 'ENU-01 unknown address', a: unknown, b: wrongPassword },
  { name: 'ENU-02 no password', a: noPassword, b: wrongPassword },
  { name: 'ENU-17 unknown address, busy', a: unknown, b: wrongPassword, isBusy: true },
  { name: 'control: no decoy', a: unknown, b: wrongPassword, isLeaky: true },
];

function probe(addressOf: (n: number) => string, cause: string): Probe {
  const { signIn } = AuthService.method;
  const password = 'not the password';
  return { requests: people.map((n) => requestFrame(signIn, { email: addressOf(n), password })), cause };
}

/** Creates those who sign in with something else. The others are seeded, or must not be. */
export async function createPeopleWithoutPassword(address: string): Promise<void> {
  const { createUser } = AdminService.method;
  const caller = new Caller(address, pathOf(createUser), serviceKey);
  for (const n of people) expectOk(await caller.call(requestFrame(createUser, { email: withoutPassword(n) })));
  caller.close();
}
