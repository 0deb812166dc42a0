import type { Answer, Chain } from '../generator.ts';
import { HttpCaller } from '../http-caller.ts';
import type { Child } from '../processes.ts';
import { scenarios, signIn } from '../scenarios.ts';
import { emailOf, password } from '../seed.ts';
import type { Stage } from '../stage.ts';
import { expectOk, inJson, overGrpc, type Scenario } from '../wire.ts';
import { client, slots } from './terms.ts';

export interface Servers {
  readonly stage: Stage;
  readonly betterAuth: Child;
  /** The same, with each read of a session extending it. */
  readonly extending: Child;
  readonly oidcProvider: Child;
}

/** One server, and calls of one path to it. */
export interface Side {
  readonly name: string;
  readonly pid: number;
  readonly chain: Chain;
  close(): void;
}

interface Path {
  readonly name: string;
  open(servers: Servers): Promise<Side[]>;
}

const named = (name: string): Scenario => scenarios.find((each) => each.name === name)!;
const origin = 'http://bench.example.org';
const json = { 'content-type': 'application/json', origin };

export const paths: readonly Path[] = [
  {
    name: 'sign-in with a password',
    open: async ({ stage, betterAuth }) => [
      await gatehouse(stage, 'SignIn, gRPC', signIn(2, overGrpc)),
      await gatehouse(stage, 'SignIn, JSON', signIn(2, inJson)),
      httpSide('better-auth, sign-in/email', betterAuth, new SignIns(betterAuth)),
    ],
  },
  {
    name: 'the user by a token',
    open: async ({ stage, betterAuth }) => [
      await gatehouse(stage, 'GetMe, gRPC', named('GetMe')),
      await gatehouse(stage, 'GetMe, JSON', named('GetMe, JSON')),
      httpSide('better-auth, get-session', betterAuth, await Sessions.open(betterAuth)),
    ],
  },
  {
    name: 'refresh',
    open: async ({ stage, extending, oidcProvider }) => [
      await gatehouse(stage, 'Refresh, gRPC', named('Refresh')),
      await gatehouse(stage, 'Refresh, JSON', named('Refresh, JSON')),
      httpSide('better-auth, get-session that extends', extending, await Sessions.open(extending)),
      httpSide('oidc-provider, refresh_token grant', oidcProvider, new Grants(oidcProvider)),
    ],
  },
  {
    name: 'introspection',
    open: async ({ stage, oidcProvider }) => [
      await gatehouse(stage, 'Introspect, gRPC', named('Introspect')),
      await gatehouse(stage, 'Introspect, JSON', named('Introspect, JSON')),
      httpSide('oidc-provider, token/introspection', oidcProvider, new Introspections(oidcProvider)),
    ],
  },
];

async function gatehouse({ app, grpc, http }: Stage, name: string, scenario: Scenario): Promise<Side> {
  const { chain, close } = await scenario.prepare(grpc, http);
  return { name: `Gatehouse, ${name}`, pid: app.pid, chain, close };
}

/** The calls of one path to a peer, over one connection for each slot. */
interface HttpCalls {
  readonly callers: readonly HttpCaller[];
  bodyOf?(slot: number): Buffer;
  /** Throws for a response that is not the wanted one. */
  take(answer: Answer, slot: number): void;
}

function httpSide(name: string, { pid }: Child, calls: HttpCalls): Side {
  const chain: Chain = async (slot) => {
    calls.take(expectOk(await calls.callers[slot]!.call(calls.bodyOf?.(slot))), slot);
  };
  const close = () => {
    for (const each of calls.callers) each.close();
  };
  return { name, pid, chain, close };
}

function callersOf(server: Child, request: `POST /${string}`, headers: Record<string, string>): HttpCaller[] {
  return Array.from({ length: slots }, () => new HttpCaller(server.ready, request, headers));
}

function expectPart(answer: Answer, part: string): void {
  if (!answer.message.includes(part)) throw new Error(`a response without ${part}: ${answer.message}`);
}

class SignIns implements HttpCalls {
  readonly callers: HttpCaller[];
  #turn = 0;

  constructor(server: Child) {
    this.callers = callersOf(server, 'POST /api/auth/sign-in/email', json);
  }

  bodyOf(): Buffer {
    return Buffer.from(JSON.stringify({ email: emailOf(100 + (this.#turn++ % 200)), password }));
  }

  take(answer: Answer): void {
    expectPart(answer, '"token"');
  }
}

/** Each slot is another user. */
class Sessions implements HttpCalls {
  readonly callers: HttpCaller[];

  private constructor(callers: HttpCaller[]) {
    this.callers = callers;
  }

  static async open(server: Child): Promise<Sessions> {
    const callers: HttpCaller[] = [];
    for (let n = 0; n < slots; n++) {
      const body = JSON.stringify({ email: emailOf(n), password });
      const url = `http://${server.ready}/api/auth/sign-in/email`;
      const response = await fetch(url, { method: 'POST', headers: json, body });
      const cookie = response.headers.getSetCookie()[0]!.split(';', 1)[0]!;
      callers.push(new HttpCaller(server.ready, 'GET /api/auth/get-session', { cookie }));
    }
    return new Sessions(callers);
  }

  take(answer: Answer): void {
    expectPart(answer, '"user"');
  }
}

const credentials = `client_id=${client.id}&client_secret=${encodeURIComponent(client.secret)}`;
const form = { 'content-type': 'application/x-www-form-urlencoded' };

interface Tokens {
  readonly refresh: string[];
  readonly access: readonly string[];
}

const tokensOf = ({ readyToo }: Child): Tokens => JSON.parse(readyToo);

/** Each slot refreshes with the token of its previous response. */
class Grants implements HttpCalls {
  readonly callers: HttpCaller[];
  readonly #tokens: string[];

  constructor(server: Child) {
    this.callers = callersOf(server, 'POST /token', form);
    this.#tokens = tokensOf(server).refresh;
  }

  bodyOf(slot: number): Buffer {
    return Buffer.from(`grant_type=refresh_token&refresh_token=${this.#tokens[slot]}&${credentials}`);
  }

  take({ message }: Answer, slot: number): void {
    const token = /"refresh_token":"([^"]+)"/.exec(message.toString('latin1'))?.[1];
    if (!token || token === this.#tokens[slot]) throw new Error(`no new refresh token: ${message}`);
    this.#tokens[slot] = token;
  }
}

class Introspections implements HttpCalls {
  readonly callers: HttpCaller[];
  readonly #tokens: readonly string[];
  #turn = 0;

  constructor(server: Child) {
    this.callers = callersOf(server, 'POST /token/introspection', form);
    this.#tokens = tokensOf(server).access;
  }

  bodyOf(): Buffer {
    return Buffer.from(`token=${this.#tokens[this.#turn++ % this.#tokens.length]}&${credentials}`);
  }

  take(answer: Answer): void {
    expectPart(answer, '"active":true');
  }
}
