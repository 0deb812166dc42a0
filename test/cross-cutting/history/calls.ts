import type { CallOptions } from '@connectrpc/connect';
import { CurrentSession } from '../../../gen/gatehouse/v1/auth_pb.ts';
import { SignOutScope } from '../../../gen/gatehouse/v1/session_pb.ts';
import { asService } from '../../support/people.ts';
import type { Clients } from '../../support/start.ts';
import { type Access, type Call, nameOfToken, type Token } from './model.ts';
import type { Person } from './person.ts';

/** Numbers in [0, 1). */
export type Random = () => number;

/** A call to make: sends it, and returns its response as the model names it. */
export interface Drawn {
  readonly call: Call;
  readonly send: (clients: Clients, options: CallOptions) => Promise<string>;
  /** Only this protocol sends the user agent that the call needs. */
  readonly wire?: 'json';
}

type Draw = (person: Person, random: Random) => Drawn;
type Held<T> = T & { readonly text: string };

const methods: readonly (readonly [weight: number, draw: Draw])[] = [
  [2, signIn],
  [6, (person, random) => refresh(person, pick(person.tokens, random), random)],
  [4, (person, random) => introspect(pick(person.accesses, random))],
  [3, (person, random) => getMe(pick(person.accesses, random))],
  [2, (person, random) => getSession(person, pick(person.accesses, random), random)],
  [3, (person, random) => listSessions(person, pick(person.accesses, random))],
  [2.5, (person, random) => changePassword(person, pick(person.accesses, random), random)],
  [1, (person, random) => signOutByToken(pick(person.tokens, random))],
  [1.5, (person, random) => signOut(pick(person.accesses, random), random)],
  [1.5, (person, random) => revokeSession(person, pick(person.accesses, random), random)],
  [3, (person, random) => updateMe(person, pick(person.accesses, random))],
  [0.2, (person, random) => deleteMe(pick(person.accesses, random))],
  [3, getUser],
  [0.8, banUser],
  [1.5, unbanUser],
  [0.8, revokeUserSessions],
];
const total = methods.reduce((sum, [weight]) => sum + weight, 0);

/** A random call of one of the user's clients, or of a backend about the user. */
export function drawCall(person: Person, random: Random): Drawn {
  if (person.accesses.length === 0) return signIn(person, random);
  let left = random() * total;
  for (const [weight, draw] of methods) {
    left -= weight;
    if (left < 0) return draw(person, random);
  }
  return getUser(person);
}

/** A random call that reads. */
export function drawRead(person: Person, random: Random): Drawn {
  if (person.accesses.length === 0 || random() < 0.4) return getUser(person);
  const access = pick(person.accesses, random);
  const readers = [introspect, getMe, (each: Held<Access>) => listSessions(person, each)];
  return pick(readers, random)(access);
}

/** Mostly one of the last three. */
function pick<T>(items: readonly T[], random: Random): T {
  const among = random() < 0.8 ? items.slice(-3) : items;
  return among[Math.floor(random() * among.length)]!;
}

function signIn(person: Person, random: Random): Drawn {
  const opens = person.newName('s');
  const password = pick(person.passwords, random);
  return {
    call: { method: 'SignIn', password, opens },
    wire: 'json',
    async send({ auth }, options) {
      const { tokens, session } = await auth.signIn(
        { email: person.email, password },
        { ...options, headers: { 'user-agent': opens } },
      );
      person.sessions.set(session!.id, opens);
      person.keep(opens, tokens!);
      return 'OK';
    },
  };
}

export function refresh(person: Person, held: Held<Token>, random: Random): Drawn {
  const { text, ...token } = held;
  // Retries of one attempt, and attempts of their own.
  const attempt = random() < 0.4 ? `attempt-of-${nameOfToken(token)}`.replaceAll('/', '-').padEnd(22, '-') : undefined;
  return {
    call: { method: 'Refresh', token, attempt },
    async send({ sessions }, options) {
      const request = { refreshToken: text, ...(attempt !== undefined && { attemptId: attempt }) };
      const { tokens } = await sessions.refresh(request, options);
      return `OK ${nameOfToken(person.keep(token.session, tokens!))}`;
    },
  };
}

export function introspect({ text, ...access }: Held<Access>): Drawn {
  return {
    call: { method: 'Introspect', access: accessOf(access) },
    async send({ sessions }, options) {
      const { active } = await sessions.introspect({ token: text }, { ...options, ...asService });
      return active ? 'active' : 'inactive';
    },
  };
}

function getMe({ text, ...access }: Held<Access>): Drawn {
  return {
    call: { method: 'GetMe', access: accessOf(access) },
    send: async ({ auth }, options) => `OK ${(await auth.getMe({}, as(text, options))).user!.name}`,
  };
}

function getSession(person: Person, { text, ...access }: Held<Access>, random: Random): Drawn {
  const [sessionId, target] = pick([...person.sessions], random);
  return {
    call: { method: 'GetSession', access: accessOf(access), target },
    async send({ sessions }, options) {
      await sessions.getSession({ sessionId }, as(text, options));
      return 'OK';
    },
  };
}

export function listSessions(person: Person, { text, ...access }: Held<Access>): Drawn {
  return {
    call: { method: 'ListSessions', access: accessOf(access) },
    async send({ sessions: client }, options) {
      const { sessions } = await client.listSessions({ pageSize: 100 }, as(text, options));
      return `OK ${sessions.map(({ id, userAgent }) => person.sessions.get(id) ?? userAgent).sort()}`;
    },
  };
}

function changePassword(person: Person, { text, ...access }: Held<Access>, random: Random): Drawn {
  const from = pick(person.passwords.slice(-2), random);
  const to = `the new password is ${person.newName('p')}`;
  const keeps = random() < 0.5;
  return {
    call: { method: 'ChangePassword', access: accessOf(access), from, to, keeps },
    async send({ auth }, options) {
      // Whatever becomes of the call, somebody may try the new password.
      person.passwords.push(to);
      const currentSession = keeps ? CurrentSession.KEEP : CurrentSession.ROTATE;
      const request = { currentPassword: from, newPassword: to, currentSession };
      const { tokens } = await auth.changePassword(request, as(text, options));
      return tokens ? `OK ${nameOfToken(person.keep(access.session, tokens))}` : 'OK';
    },
  };
}

function signOutByToken({ text, ...token }: Held<Token>): Drawn {
  return {
    call: { method: 'SignOutByToken', token },
    async send({ sessions }, options) {
      await sessions.signOut({ refreshToken: text }, options);
      return 'OK';
    },
  };
}

function signOut({ text, ...access }: Held<Access>, random: Random): Drawn {
  const scope = (['LOCAL', 'GLOBAL', 'OTHERS'] as const)[Math.floor(random() * 3)]!;
  return {
    call: { method: 'SignOut', access: accessOf(access), scope },
    async send({ sessions }, options) {
      await sessions.signOut({ scope: SignOutScope[scope] }, as(text, options));
      return 'OK';
    },
  };
}

function revokeSession(person: Person, held: Held<Access>, random: Random): Drawn {
  const { text, ...access } = held;
  const others = [...person.sessions].filter(([, name]) => name !== access.session);
  if (others.length === 0) return introspect(held);
  const [sessionId, target] = pick(others, random);
  return {
    call: { method: 'RevokeSession', access: accessOf(access), target },
    async send({ sessions }, options) {
      await sessions.revokeSession({ sessionId }, as(text, options));
      return 'OK';
    },
  };
}

function updateMe(person: Person, { text, ...access }: Held<Access>): Drawn {
  const name = person.newName('n');
  return {
    call: { method: 'UpdateMe', access: accessOf(access), name },
    send: async ({ auth }, options) => `OK ${(await auth.updateMe({ name }, as(text, options))).user!.name}`,
  };
}

function deleteMe({ text, ...access }: Held<Access>): Drawn {
  return {
    call: { method: 'DeleteMe', access: accessOf(access) },
    async send({ auth }, options) {
      await auth.deleteMe({}, as(text, options));
      return 'OK';
    },
  };
}

export function getUser({ id: userId }: Person): Drawn {
  return {
    call: { method: 'GetUser' },
    async send({ admin }, options) {
      const { user } = await admin.getUser({ userId }, { ...options, ...asService });
      return `OK ${user!.name} ${user!.bannedUntilTime ? 'banned' : 'free'}`;
    },
  };
}

function banUser({ id: userId }: Person): Drawn {
  return byBackend('BanUser', ({ admin }, options) => admin.banUser({ userId }, options));
}

function unbanUser({ id: userId }: Person): Drawn {
  return byBackend('UnbanUser', ({ admin }, options) => admin.unbanUser({ userId }, options));
}

function revokeUserSessions({ id: userId }: Person): Drawn {
  const whose = { case: 'userId', value: userId } as const;
  return byBackend('RevokeUserSessions', ({ admin }, options) => admin.revokeUserSessions({ whose }, options));
}

/** Concerns every user of the project. */
export function revokeEverybody(): Drawn {
  const whose = { case: 'everybody', value: true } as const;
  return byBackend('RevokeEverybody', ({ admin }, options) => admin.revokeUserSessions({ whose }, options));
}

function byBackend(
  method: 'BanUser' | 'UnbanUser' | 'RevokeUserSessions' | 'RevokeEverybody',
  send: (clients: Clients, options: CallOptions) => Promise<unknown>,
): Drawn {
  return {
    call: { method },
    async send(clients, options) {
      await send(clients, { ...options, ...asService });
      return 'OK';
    },
  };
}

function accessOf({ session, version }: Access): Access {
  return { session, version };
}

function as(accessToken: string, options: CallOptions): CallOptions {
  return { ...options, headers: { authorization: `Bearer ${accessToken}` } };
}
