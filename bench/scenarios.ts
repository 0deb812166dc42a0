import {
  create,
  type DescMethodUnary,
  type Message,
  type MessageInitShape,
  toBinary,
  toJsonString,
} from '@bufbuild/protobuf';
import { AccountService } from '../gen/gatehouse/v1/account_pb.ts';
import { AuthService } from '../gen/gatehouse/v1/auth_pb.ts';
import { SessionService } from '../gen/gatehouse/v1/session_pb.ts';
import { fieldOf, frame, pathOf, requestFrame } from './frames.ts';
import { type Answer, Caller, type Chain } from './generator.ts';
import { JsonCaller } from './json-caller.ts';
import { emailOf, password, refreshTokenOf, serviceKey, sessionId } from './seed.ts';

export interface Prepared {
  readonly chain: Chain;
  readonly request: Buffer;
  readonly answerBytes: number;
  /** Whether the calls are JSON over HTTP/1.1, and not gRPC. */
  readonly isJson?: boolean;
  close(): void;
}

export interface Scenario {
  readonly name: string;
  /** Calls in flight when the rate is measured. */
  readonly slots: number;
  /** Calls of each slot at the given port for gRPC, or in JSON at the one for HTTP, and the size of a response. */
  prepare(grpc: string, http?: string): Promise<Prepared>;
}

const connections = 4;
// HTTP/1.1 has one call at a time on a connection, so each slot has one.
const jsonSlots = 32;

// Each preparation takes sessions of its own, because tokens that an earlier one rotated are lost.
let blocks = 0;

/** Each slot refreshes one session again and again, with the token of the previous response. */
export const refresh: Scenario = {
  name: 'Refresh',
  slots: 32,
  async prepare(address) {
    const callers = connect(address, pathOf(SessionService.method.refresh));
    const first = 10 + 512 * blocks++;
    const requests = Array.from({ length: 512 }, (_, slot) => refreshFrame(refreshTokenOf(first + slot)));
    const chain: Chain = async (slot) => {
      const answer = expectOk(await callers[slot % connections]!.call(requests[slot]!));
      requests[slot] = refreshFrame(refreshTokenIn(answer.message));
    };
    const sample = expectOk(await callers[0]!.call(requests[0]!));
    requests[0] = refreshFrame(refreshTokenIn(sample.message));
    return { chain, request: requests[0]!, answerBytes: sample.message.length, close: () => callers.forEach(hangUp) };
  },
};

/** The same in JSON, by the method itself or by the route for clients of Supabase Auth. */
const refreshInJson = (name: string, path: string, bodyOf: (refreshToken: string) => object): Scenario => ({
  name,
  slots: jsonSlots,
  async prepare(_, http) {
    const callers = openJson(http!, path);
    const first = 10 + 512 * blocks++;
    const request = (token: string) => Buffer.from(JSON.stringify(bodyOf(token)));
    const requests = callers.map((_, slot) => request(refreshTokenOf(first + slot)));
    const callOnce = async (slot: number) => {
      const answer = expectOk(await callers[slot]!.call(requests[slot]!));
      requests[slot] = request(/"refresh_?token":"([^"]+)"/i.exec(answer.message.toString())![1]!);
      return answer;
    };
    const sample = await callOnce(0);
    const chain: Chain = async (slot) => void (await callOnce(slot));
    const close = () => callers.forEach(hangUp);
    return { chain, request: requests[0]!, answerBytes: sample.message.length, isJson: true, close };
  },
});

/** Each call refreshes another session, over the whole table. */
export const refreshAmong = (sessions: number): Scenario => ({
  name: 'Refresh',
  slots: 32,
  async prepare(address) {
    const callers = connect(address, pathOf(SessionService.method.refresh));
    // A prime step visits every session before it comes back to one.
    let at = 0;
    const generations = new Uint32Array(sessions);
    const chain: Chain = async (slot) => {
      at = (at + 7_368_787) % sessions;
      expectOk(await callers[slot % connections]!.call(refreshFrame(refreshTokenOf(at, generations[at]!++))));
    };
    const request = refreshFrame(refreshTokenOf(0));
    return { chain, request, answerBytes: 0, close: () => callers.forEach(hangUp) };
  },
});

/** The requests of a method, in turn. */
interface Requests {
  readonly method: DescMethodUnary;
  readonly messages: readonly Message[];
  readonly bearer: string | undefined;
}

function requestsOf<M extends DescMethodUnary>(
  method: M,
  messages: readonly MessageInitShape<M['input']>[],
  bearer?: string,
): Requests {
  return { method, messages: messages.map((each) => create(method.input, each)), bearer };
}

type ReadRequests = (grpc: string) => Promise<Requests>;

const { introspect, getSession, listSessions } = SessionService.method;

const introspectWithin = (staleness: number): ReadRequests => {
  return async (address) => {
    const tokens = await accessTokens(address, 200);
    const maxStaleness = staleness > 0 ? { seconds: BigInt(staleness), nanos: 0 } : undefined;
    const messages = tokens.map((token) => ({ token, ...(maxStaleness && { maxStaleness }) }));
    return requestsOf(introspect, messages, serviceKey);
  };
};

const getOwnSession: ReadRequests = async (address) => {
  const [token] = await accessTokens(address, 1);
  return requestsOf(getSession, [{ sessionId: sessionId(1) }], token);
};

const getMe: ReadRequests = async (address) => {
  const [token] = await accessTokens(address, 1);
  return requestsOf(AuthService.method.getMe, [{}], token);
};

const listOwnSessions: ReadRequests = async (address) => {
  const [token] = await accessTokens(address, 1);
  return requestsOf(listSessions, [{}], token);
};

export const signIn = (hashes: number): Scenario => ({
  name: `SignIn, ${hashes} hashes at a time`,
  slots: 16,
  async prepare(address) {
    const requests = Array.from({ length: 200 }, (_, n) =>
      requestFrame(AuthService.method.signIn, { email: emailOf(n + 100), password }),
    );
    return inTurn(connect(address, pathOf(AuthService.method.signIn)), requests);
  },
});

let newcomers = 0;

/** Each call registers a new user with an account of their own. */
export const register = (hashes: number): Scenario => ({
  name: `Register, ${hashes} hashes at a time`,
  slots: 16,
  async prepare(address) {
    const callers = connect(address, pathOf(AuthService.method.register));
    const next = () => {
      const email = `newcomer${process.pid}-${newcomers++}@example.org`;
      return requestFrame(AuthService.method.register, { email, password, name: 'Newcomer' });
    };
    const chain: Chain = async (slot) => {
      expectOk(await callers[slot % connections]!.call(next()));
    };
    const request = next();
    const sample = expectOk(await callers[0]!.call(request));
    return { chain, request, answerBytes: sample.message.length, close: () => callers.forEach(hangUp) };
  },
});

/** Writes a user, a session and an event, and hashes nothing. With `fromMany` each call comes from another address. */
export const signUpAnonymous = (fromMany = false): Scenario => ({
  name: 'SignUpAnonymous',
  slots: 32,
  async prepare(address) {
    const callers = connect(address, pathOf(AuthService.method.signUpAnonymous));
    const request = requestFrame(AuthService.method.signUpAnonymous, {});
    let turn = 0;
    const chain: Chain = async (slot) => {
      const n = turn++;
      const from = fromMany ? `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}` : '192.0.2.1';
      expectOk(await callers[slot % connections]!.call(request, from));
    };
    return { chain, request, answerBytes: 0, close: () => callers.forEach(hangUp) };
  },
});

/** A backend consumes one unit for each of many fingerprints in turn. */
const consumeUsage: ReadRequests = async () => {
  const fingerprints = Array.from({ length: 500 }, (_, n) => `machine-${n}`);
  const messages = fingerprints.map((value) => ({ amount: 1, subject: { case: 'fingerprint' as const, value } }));
  return requestsOf(AccountService.method.consumeUsage, messages, serviceKey);
};

export const scenarios = [
  refresh,
  overGrpc('Introspect', introspectWithin(0)),
  overGrpc('Introspect, max_staleness 1 s', introspectWithin(1)),
  overGrpc('GetSession', getOwnSession),
  overGrpc('GetMe', getMe),
  overGrpc('ListSessions', listOwnSessions),
  overGrpc('ConsumeUsage', consumeUsage),
  inJson('Introspect, JSON', introspectWithin(0)),
  inJson('GetSession, JSON', getOwnSession),
  inJson('GetMe, JSON', getMe),
  refreshInJson('Refresh, JSON', pathOf(SessionService.method.refresh), (refreshToken) => ({ refreshToken })),
  getUser(),
  refreshInJson('POST /auth/v1/token', '/auth/v1/token?grant_type=refresh_token', (refresh_token) => ({
    refresh_token,
  })),
];

/** GET /auth/v1/user, which returns what GetMe does and the user's factors and identities. */
function getUser(): Scenario {
  return {
    name: 'GET /auth/v1/user',
    slots: jsonSlots,
    async prepare(grpc, http) {
      const [token] = await accessTokens(grpc, 1);
      return { ...(await inTurn(openJson(http!, '/auth/v1/user', token, 'GET'), [Buffer.alloc(0)])), isJson: true };
    },
  };
}

function overGrpc(name: string, read: ReadRequests): Scenario {
  return {
    name,
    slots: 32,
    async prepare(grpc) {
      const { method, messages, bearer } = await read(grpc);
      const frames = messages.map((each) => frame(toBinary(method.input, each)));
      return inTurn(connect(grpc, pathOf(method), bearer), frames);
    },
  };
}

function openJson(address: string, path: string, bearer?: string, verb?: 'GET' | 'POST'): JsonCaller[] {
  return Array.from({ length: jsonSlots }, () => new JsonCaller(address, path, bearer, verb));
}

/** The twin of a scenario over gRPC. */
function inJson(name: string, read: ReadRequests): Scenario {
  return {
    name,
    slots: jsonSlots,
    async prepare(grpc, http) {
      const { method, messages, bearer } = await read(grpc);
      const bodies = messages.map((each) => Buffer.from(toJsonString(method.input, each)));
      return { ...(await inTurn(openJson(http!, pathOf(method), bearer), bodies)), isJson: true };
    },
  };
}

async function inTurn(callers: readonly (Caller | JsonCaller)[], requests: readonly Buffer[]): Promise<Prepared> {
  let turn = 0;
  const chain: Chain = async (slot) => {
    expectOk(await callers[slot % callers.length]!.call(requests[turn++ % requests.length]!));
  };
  const sample = expectOk(await callers[0]!.call(requests[0]!));
  return { chain, request: requests[0]!, answerBytes: sample.message.length, close: () => callers.forEach(hangUp) };
}

/** Fresh access tokens of seeded sessions, far from those that the refresh scenario uses up: one refresh each. */
async function accessTokens(address: string, count: number): Promise<string[]> {
  const caller = new Caller(address, pathOf(SessionService.method.refresh));
  const tokens: string[] = [];
  for (let n = 0; n < count; n++) {
    // GetSession reads session 1.
    const { message } = expectOk(await caller.call(refreshFrame(nextRefreshToken(n === 0 ? 1 : 4000 + n))));
    tokens.push(fieldOf(fieldOf(message, 1)!, 1)!.toString());
  }
  caller.close();
  return tokens;
}

const generations = new Map<number, number>();

/** The current token of a seeded session that is refreshed once with it. */
function nextRefreshToken(session: number): string {
  const generation = generations.get(session) ?? 0;
  generations.set(session, generation + 1);
  return refreshTokenOf(session, generation);
}

function connect(address: string, path: string, bearer?: string): Caller[] {
  return Array.from({ length: connections }, () => new Caller(address, path, bearer));
}

function hangUp(caller: Caller | JsonCaller): void {
  caller.close();
}

function refreshFrame(refreshToken: string): Buffer {
  return requestFrame(SessionService.method.refresh, { refreshToken });
}

/** RefreshResponse.tokens.refresh_token */
function refreshTokenIn(message: Buffer): string {
  return fieldOf(fieldOf(message, 1)!, 2)!.toString();
}

export function expectOk(answer: Answer): Answer {
  if (answer.status !== 0) throw new Error(`${answer.status} ${answer.reason}`);
  return answer;
}
