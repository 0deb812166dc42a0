import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AccountRole } from '../../gen/gatehouse/v1/account_pb.ts';
import * as actions from './actions.ts';
import { as, expectOk, introspect, pick, type World } from './actions.ts';
import { signInDevice, signInProgram } from './logins.ts';
import { type HeldInvite, type HeldSession, Person } from './person.ts';

type Act = (world: World, person: Person, session: HeldSession) => Promise<unknown>;

const acts: readonly (readonly [weight: number, act: Act])[] = [
  [30, (world, person) => actions.refresh(world, person, pick(person.live, world.random))],
  [30, lookAtSession],
  [20, actions.consume],
  [4, actions.signIn],
  [3, revokeAnother],
  [1.5, actions.changePassword],
  [1, invite],
  [0.7, signInDevice],
  [0.7, signInProgram],
];
const total = acts.reduce((sum, [weight]) => sum + weight, 0);
/** A user with more sessions revokes some. */
const mostSessions = 12;

/** One user after another is registered and makes calls, until the time is over. All of them are kept. */
export async function beClient(world: World, people: Person[], pause: number, isOver: () => boolean): Promise<void> {
  let invited: { email: string; code: string; inviter: Person } | undefined;
  while (!isOver()) {
    const person = new Person(invited?.email ?? `${randomUUID()}@example.org`, !invited);
    const isThere = await actions.register(world, person, invited?.code);
    if (!isThere) return;
    people.push(person);
    if (invited) settleInvite(world, person, invited);
    const steps = 40 + world.random() * 160;
    for (let step = 0; step < steps && !isOver(); step++) {
      // A call comes after a random time, so that the calls of all clients come independently of one another.
      await sleep(-Math.log(1 - world.random()) * pause);
      await act(world, person);
    }
    invited = person.invites
      .filter(({ state }) => state === 'pending')
      .map(({ email, code }) => ({ email, code, inviter: person }))[0];
  }
}

async function act(world: World, person: Person): Promise<void> {
  const session = person.live.at(-1) ?? (await actions.signIn(world, person));
  if (!session) return;
  let left = world.random() * total;
  for (const [weight, run] of acts) {
    left -= weight;
    if (left < 0) return void (await run(world, person, session));
  }
}

function settleInvite(
  { findings }: World,
  person: Person,
  { email, inviter }: { email: string; inviter: Person },
): void {
  inviter.invites.find((each) => each.email === email)!.state = 'accepted';
  if (person.accountId !== inviter.accountId)
    findings.violate(`${email} registered with an invitation, and is in another account`);
}

async function lookAtSession(world: World, person: Person): Promise<void> {
  if (person.keys.length > 0 && world.random() < 0.2) {
    return introspect(world, pick(person.keys, world.random), true, `an API key of ${person.email}`);
  }
  const { id, state, accessToken } = pick(person.sessions, world.random);
  if (state !== 'unsure') await introspect(world, accessToken, state === 'live', `session ${id} of ${person.email}`);
}

async function revokeAnother(world: World, person: Person, session: HeldSession): Promise<void> {
  do {
    const others = person.live.filter((each) => each !== session);
    if (others.length === 0) return;
    const other = pick(others, world.random);
    if (world.random() < 0.5) await actions.signOut(world, person, other);
    else await actions.revokeSession(world, person, session, other);
  } while (person.live.length > mostSessions);
}

async function invite(world: World, person: Person, session: HeldSession): Promise<void> {
  // Members may not invite.
  if (!person.isOwner) return;
  const { calls } = world;
  const options = { headers: as(session.accessToken) };
  const request = {
    accountId: person.accountId,
    email: `${randomUUID()}@example.org`,
    role: AccountRole.MEMBER,
    requestId: randomUUID(),
  };
  const outcome = await calls.settle('CreateAccountInvite', ({ accounts }, own) =>
    accounts.createAccountInvite(request, { ...own, ...options }),
  );
  const response = expectOk(world, `invitation by ${person.email}`, outcome);
  if (!response) return;
  const { id, email } = response.invite!;
  const held: HeldInvite = { id, email, code: response.accountInviteCode, state: 'pending' };
  person.invites.push(held);
  if (world.random() < 0.5) return;
  const revoked = await calls.settle('RevokeAccountInvite', ({ accounts }, own) =>
    accounts.revokeAccountInvite({ accountId: person.accountId, inviteId: id }, { ...own, ...options }),
  );
  if (!(revoked.kind === 'refused' && revoked.isRepeated)) expectOk(world, 'revocation of an invitation', revoked);
  held.state = 'revoked';
}
