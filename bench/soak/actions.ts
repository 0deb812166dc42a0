import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CurrentSession } from '../../gen/gatehouse/v1/auth_pb.ts';
import { serviceKey } from '../seed.ts';
import type { Calls, Settled } from './calls.ts';
import type { Findings } from './findings.ts';
import { generationOf, type HeldSession, type Person } from './person.ts';

export interface World {
  readonly calls: Calls;
  readonly findings: Findings;
  readonly random: () => number;
}

/** After this time a call without a response takes effect no more: a deadline, a statement and a pause have passed. */
export const settled = 20_000;

export const asService = { authorization: `Bearer ${serviceKey}` };

export function as(accessToken: string) {
  return { authorization: `Bearer ${accessToken}` };
}

export function pick<T>(items: readonly T[], random: () => number): T {
  return items[Math.floor(random() * items.length)]!;
}

/** The value of a call that must succeed. */
export function expectOk<T>({ findings }: World, what: string, outcome: Settled<T>): T | undefined {
  if (outcome.kind === 'ok') return outcome.value;
  findings.violate(`${what} was refused with ${outcome.reason}${outcome.isRepeated ? ' after a lost response' : ''}`);
  return undefined;
}

export async function register(world: World, person: Person, accountInviteCode?: string): Promise<boolean> {
  const { email, password } = person;
  const invite = accountInviteCode === undefined ? {} : { accountInviteCode };
  const request = { email, password, requestId: randomUUID(), ...invite };
  const outcome = await world.calls.settle('Register', ({ auth }, options) => auth.register(request, options));
  const response = expectOk(world, `registration of ${email}`, outcome);
  if (!response) return false;
  person.userId = response.user!.id;
  person.accountId = response.account!.account!.id;
  person.keep(response.session!.id, response.tokens!, 'register');
  return true;
}

export async function signIn(world: World, person: Person): Promise<HeldSession | undefined> {
  const { email, password } = person;
  const outcome = await world.calls.settle('SignIn', ({ auth }, options) => auth.signIn({ email, password }, options));
  const response = expectOk(world, `sign-in of ${email}`, outcome);
  return response && person.keep(response.session!.id, response.tokens!, 'sign-in');
}

export async function refresh(world: World, person: Person, session: HeldSession): Promise<void> {
  const { refreshToken } = session;
  const request = { refreshToken, attemptId: randomBytes(16).toString('base64url') };
  const outcome = await world.calls.settle('Refresh', ({ sessions }, options) => sessions.refresh(request, options));
  const response = expectOk(world, `refresh of session ${session.id} of ${person.email}`, outcome);
  if (!response) {
    session.state = 'unsure';
    return;
  }
  session.accessToken = response.tokens!.accessToken;
  session.refreshToken = response.tokens!.refreshToken;
  const [before, after] = [generationOf(refreshToken), generationOf(session.refreshToken)];
  if (after !== before + 1)
    world.findings.violate(`refresh of ${session.id} led from generation ${before} to ${after}`);
}

/** Not repeatable: if nobody knows what became of it, the passwords are tried. */
export async function changePassword(world: World, person: Person, session: HeldSession): Promise<void> {
  const { calls, random } = world;
  const from = person.password;
  const to = `password ${++person.passwordChanges} of ${person.email}`;
  const keeps = random() < 0.5;
  const request = {
    currentPassword: from,
    newPassword: to,
    currentSession: keeps ? CurrentSession.KEEP : CurrentSession.ROTATE,
  };
  const outcome = await calls.once('ChangePassword', ({ auth }, options) =>
    auth.changePassword(request, { ...options, headers: as(session.accessToken) }),
  );
  if (outcome.kind === 'refused') {
    if (outcome.reason !== 'OVER_REQUEST_RATE_LIMIT' && outcome.reason !== 'OVER_CAPACITY')
      world.findings.violate(`ChangePassword of ${person.email} was refused with ${outcome.reason}`);
    return;
  }
  const others = person.live.filter((each) => each !== session);
  if (outcome.kind === 'ok') {
    person.password = to;
    for (const each of others) each.state = 'revoked';
    const { tokens } = outcome.value;
    if (tokens) Object.assign(session, { accessToken: tokens.accessToken, refreshToken: tokens.refreshToken });
    return;
  }
  await sleep(settled);
  const attempt = await calls.settle('SignIn', ({ auth }, options) =>
    auth.signIn({ email: person.email, password: to }, options),
  );
  if (attempt.kind === 'refused') return void (await signIn(world, person));
  person.password = to;
  for (const each of others) each.state = 'revoked';
  if (!keeps) session.state = 'unsure';
  person.keep(attempt.value.session!.id, attempt.value.tokens!, 'sign-in');
}

export async function revokeSession(world: World, person: Person, own: HeldSession, other: HeldSession): Promise<void> {
  const outcome = await world.calls.settle('RevokeSession', ({ sessions }, options) =>
    sessions.revokeSession({ sessionId: other.id }, { ...options, headers: as(own.accessToken) }),
  );
  const isRepetition = outcome.kind === 'refused' && outcome.isRepeated && outcome.reason === 'SESSION_NOT_FOUND';
  if (!isRepetition) expectOk(world, `revocation of session ${other.id} of ${person.email}`, outcome);
  other.state = 'revoked';
  other.isRevokedByName = outcome.kind === 'ok';
}

export async function signOut(world: World, person: Person, session: HeldSession): Promise<void> {
  const { refreshToken } = session;
  const outcome = await world.calls.settle('SignOut', ({ sessions }, options) =>
    sessions.signOut({ refreshToken }, options),
  );
  expectOk(world, `sign-out of ${person.email}`, outcome);
  session.state = 'revoked';
}

export async function introspect({ calls, findings }: World, token: string, isLive: boolean, what: string) {
  const outcome = await calls.settle('Introspect', ({ sessions }, options) =>
    sessions.introspect({ token }, { ...options, headers: asService }),
  );
  if (outcome.kind === 'refused') findings.violate(`Introspect was refused with ${outcome.reason}`);
  else if (outcome.value.active !== isLive) findings.violate(`${what} is ${isLive ? 'not active' : 'still active'}`);
}

export async function consume(world: World, person: Person, session: HeldSession): Promise<void> {
  const amount = 1 + Math.floor(world.random() * 5);
  const request = { amount, requestId: randomUUID() };
  const outcome = await world.calls.settle('ConsumeUsage', ({ accounts }, options) =>
    accounts.consumeUsage(request, { ...options, headers: as(session.accessToken) }),
  );
  const response = expectOk(world, `usage of ${person.email}`, outcome);
  if (!response) return;
  person.used += BigInt(amount);
  const { usage } = response.usage!;
  if (usage !== person.used)
    world.findings.violate(`${person.email} has used ${person.used}, and the response says ${usage}`);
}
