import type { DescMethodUnary, MessageInitShape } from '@bufbuild/protobuf';
import { AccountService } from '../gen/gatehouse/v1/account_pb.ts';
import { AuthService } from '../gen/gatehouse/v1/auth_pb.ts';
import { SessionService } from '../gen/gatehouse/v1/session_pb.ts';
import { fieldOf, pathOf, requestFrame } from './frames.ts';
import { Caller, type Chain } from './generator.ts';
import { accountIdOf, emailOf, password, refreshTokenOf, serviceKey, sessionId } from './seed.ts';
import {
  close,
  encode,
  expectOk,
  inJson,
  inTurn,
  overGrpc,
  overSupabase,
  prepared,
  type Scenario,
  type Wire,
} from './wire.ts';

const { introspect, getSession, listSessions, refresh: refreshMethod } = SessionService.method;

// Each preparation takes sessions of its own, because tokens that an earlier one rotated are lost.
let blocks = 0;

/** Each slot refreshes one session again and again, with the token of the previous response. */
const refreshOver = (wire: Wire): Scenario => ({
  name: `Refresh${wire.suffix}`,
  slots: 32,
  async prepare(grpc, http) {
    const callers = wire.connect({ grpc, http }, refreshMethod);
    const first = 10 + 512 * blocks++;
    const requestOf = (refreshToken: string) => encode(wire, refreshMethod, { refreshToken });
    const requests = Array.from({ length: 512 }, (_, slot) => requestOf(refreshTokenOf(first + slot)));
    const call = async (slot: number) => {
      const { message } = expectOk(await callers[slot % callers.length]!.call(requests[slot]!));
      requests[slot] = requestOf(wire.refreshTokenIn(message));
      return message.length;
    };
    const chain: Chain = async (slot) => void (await call(slot));
    const answerBytes = await call(0);
    const { isJson } = wire;
    return { chain, request: requests[0]!, answerBytes, isJson, close: () => callers.forEach(close) };
  },
});

export const refresh = refreshOver(overGrpc);

/** Each call refreshes another session, over the whole table. */
export const refreshAmong = (sessions: number): Scenario => ({
  name: 'Refresh',
  slots: 32,
  async prepare(grpc) {
    const callers = overGrpc.connect({ grpc }, refreshMethod);
    // A prime step visits every session before it comes back to one.
    let at = 0;
    const generations = new Uint32Array(sessions);
    const chain: Chain = async (slot) => {
      at = (at + 7_368_787) % sessions;
      const request = refreshFrame(refreshTokenOf(at, generations[at]!++));
      expectOk(await callers[slot % callers.length]!.call(request));
    };
    const request = refreshFrame(refreshTokenOf(0));
    return { chain, request, answerBytes: 0, close: () => callers.forEach(close) };
  },
});

/** The messages of a method, and the access tokens that its callers have. */
interface Calls<M extends DescMethodUnary> {
  readonly messages: readonly MessageInitShape<M['input']>[];
  readonly bearers: readonly string[];
}

function inTurnOver<M extends DescMethodUnary>(
  wire: Wire,
  name: string,
  method: M,
  read: (grpc: string) => Promise<Calls<M>>,
): Scenario {
  return {
    name: name + wire.suffix,
    slots: 32,
    async prepare(grpc, http) {
      const { messages, bearers } = await read(grpc);
      const requests = messages.map((each) => encode(wire, method, each));
      return inTurn(wire, wire.connect({ grpc, http }, method, bearers), requests);
    },
  };
}

const introspectOver = (wire: Wire, name = 'Introspect', staleness = 0) =>
  inTurnOver(wire, name, introspect, async (grpc) => {
    const maxStaleness = staleness > 0 ? { seconds: BigInt(staleness), nanos: 0 } : undefined;
    const tokens = await accessTokens(grpc, 200);
    const messages = tokens.map((token) => ({ token, ...(maxStaleness && { maxStaleness }) }));
    return { messages, bearers: [serviceKey] };
  });

const getSessionOver = (wire: Wire) =>
  inTurnOver(wire, 'GetSession', getSession, async (grpc) => {
    return { messages: [{ sessionId: sessionId(1) }], bearers: await accessTokens(grpc, 1) };
  });

/** Each connection is another user. */
const getMeOver = (wire: Wire) =>
  inTurnOver(wire, 'GetMe', AuthService.method.getMe, async (grpc) => {
    return { messages: [{}], bearers: await accessTokens(grpc, 32) };
  });

const getAccountOver = (wire: Wire) =>
  inTurnOver(wire, 'GetAccount', AccountService.method.getAccount, async (grpc) => {
    return { messages: [{ accountId: accountIdOf(1) }], bearers: await accessTokens(grpc, 1) };
  });

const listSessionsOver = (wire: Wire) =>
  inTurnOver(wire, 'ListSessions', listSessions, async (grpc) => {
    return { messages: [{}], bearers: await accessTokens(grpc, 1) };
  });

/** A backend consumes one unit for each of many fingerprints in turn. */
const consumeUsageOver = (wire: Wire) =>
  inTurnOver(wire, 'ConsumeUsage', AccountService.method.consumeUsage, async () => {
    const fingerprints = Array.from({ length: 500 }, (_, n) => `machine-${n}`);
    const messages = fingerprints.map((value) => ({ amount: 1, subject: { case: 'fingerprint' as const, value } }));
    return { messages, bearers: [serviceKey] };
  });

const atOnce = (hashes: number) => (hashes === 1 ? '1 hash at a time' : `${hashes} hashes at a time`);

export const signIn = (hashes: number, wire: Wire = overGrpc): Scenario => ({
  name: `SignIn${wire.suffix}, ${atOnce(hashes)}`,
  slots: 16,
  async prepare(grpc, http) {
    const method = AuthService.method.signIn;
    const requests = Array.from({ length: 200 }, (_, n) => encode(wire, method, { email: emailOf(n + 100), password }));
    return inTurn(wire, wire.connect({ grpc, http }, method), requests);
  },
});

let newcomers = 0;

/** Each call registers a new user with an account of their own, who is signed in at once. */
export const register = (hashes: number, wire: Wire = overGrpc): Scenario => ({
  name: `Register${wire.suffix}, ${atOnce(hashes)}`,
  slots: 16,
  env: { HIDE_REGISTRATION: 'off', AUTO_CONFIRM_EMAIL: 'on' },
  async prepare(grpc, http) {
    const method = AuthService.method.register;
    return prepared(wire, wire.connect({ grpc, http }, method), () => {
      const email = `newcomer${process.pid}-${newcomers++}@example.org`;
      return encode(wire, method, { email, password, name: 'Newcomer' });
    });
  },
});

/** The methods that hash a password, over both transports. */
export const hashing = (hashes: number): Scenario[] =>
  [overGrpc, inJson].flatMap((wire) => [signIn(hashes, wire), register(hashes, wire)]);

/** Writes a user, a session and an event, and hashes nothing. With `fromMany` each call comes from another address. */
export const signUpAnonymous = (fromMany = false): Scenario => ({
  name: 'SignUpAnonymous',
  slots: 32,
  async prepare(grpc) {
    const method = AuthService.method.signUpAnonymous;
    const callers = Array.from({ length: 4 }, () => new Caller(grpc, pathOf(method)));
    const request = requestFrame(method, {});
    let turn = 0;
    const chain: Chain = async (slot) => {
      const n = turn++;
      const from = fromMany ? `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}` : '192.0.2.1';
      expectOk(await callers[slot % callers.length]!.call(request, from));
    };
    return { chain, request, answerBytes: 0, close: () => callers.forEach(close) };
  },
});

/** The methods that hash nothing. */
export const scenarios = [
  refresh,
  introspectOver(overGrpc),
  introspectOver(overGrpc, 'Introspect, max_staleness 1 s', 1),
  getSessionOver(overGrpc),
  getMeOver(overGrpc),
  getAccountOver(overGrpc),
  listSessionsOver(overGrpc),
  consumeUsageOver(overGrpc),
  refreshOver(inJson),
  introspectOver(inJson),
  getSessionOver(inJson),
  getMeOver(inJson),
  refreshOver(overSupabase),
  getMeOver(overSupabase),
];

/** Fresh access tokens of seeded sessions, far from those that the refresh scenario uses up: one refresh each. */
async function accessTokens(address: string, count: number): Promise<string[]> {
  const caller = new Caller(address, pathOf(refreshMethod));
  const tokens: string[] = [];
  for (let n = 0; n < count; n++) {
    // GetSession reads session 1.
    const { message } = expectOk(await caller.call(refreshFrame(nextRefreshToken(n === 0 ? 1 : 8000 + 5 * n))));
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

function refreshFrame(refreshToken: string): Buffer {
  return requestFrame(refreshMethod, { refreshToken });
}
