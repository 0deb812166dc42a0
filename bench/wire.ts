import {
  create,
  type DescMethodUnary,
  type Message,
  type MessageInitShape,
  toBinary,
  toJsonString,
} from '@bufbuild/protobuf';
import { fieldOf, frame, pathOf } from './frames.ts';
import { type Answer, Caller, type Chain } from './generator.ts';
import { HttpCaller } from './http-caller.ts';
import { JsonCaller } from './json-caller.ts';

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
  /** Settings of the service that are not those of all scenarios. */
  readonly env?: Readonly<Record<string, string>>;
  /** Calls of each slot at the given port for gRPC, or in JSON at the one for HTTP, and the size of a response. */
  prepare(grpc: string, http?: string): Promise<Prepared>;
}

/** How the calls of a scenario travel. */
export interface Wire {
  readonly isJson: boolean;
  /** What the name of a scenario ends with. */
  readonly suffix: string;
  /** The callers share these access tokens, one each. */
  connect(
    to: { grpc: string; http?: string | undefined },
    method: DescMethodUnary,
    bearers?: readonly string[],
  ): Line[];
  encode(method: DescMethodUnary, message: Message): Buffer;
  /** Fields of the tokens in a response of SignIn and the like. */
  refreshTokenIn(message: Buffer): string;
}

export type Line = Caller | HttpCaller;

/** Four connections that all slots share. */
export const overGrpc: Wire = {
  isJson: false,
  suffix: '',
  connect: ({ grpc }, method, bearers) => lines(4, bearers, (bearer) => new Caller(grpc, pathOf(method), bearer)),
  encode: (method, message) => frame(toBinary(method.input, message)),
  refreshTokenIn: (message) => fieldOf(fieldOf(message, 1)!, 2)!.toString(),
};

/** HTTP/1.1 has one call at a time on a connection, so each slot has one. */
export const inJson: Wire = {
  isJson: true,
  suffix: ', JSON',
  connect: ({ http }, method, bearers) => lines(32, bearers, (bearer) => new JsonCaller(http!, pathOf(method), bearer)),
  encode: (method, message) => Buffer.from(toJsonString(method.input, message)),
  refreshTokenIn: (message) => /"refreshToken":\s*"([^"]+)"/.exec(message.toString('latin1'))![1]!,
};

/** The routes of /auth/v1 that return what these methods do, and more. */
const routes = {
  GetMe: 'GET /auth/v1/user',
  Refresh: 'POST /auth/v1/token?grant_type=refresh_token',
} as const;

/** As clients of Supabase Auth call. */
export const overSupabase: Wire = {
  isJson: true,
  suffix: ', /auth/v1',
  connect: ({ http }, { name }, bearers) =>
    lines(32, bearers, (bearer) => {
      const authorization = bearer && `Bearer ${bearer}`;
      const headers = { 'content-type': 'application/json', ...(authorization && { authorization }) };
      return new HttpCaller(http!, routes[name as keyof typeof routes], headers);
    }),
  encode: ({ input }, message) =>
    Buffer.from(toJsonString(input, message, { useProtoFieldName: true }).replace('{}', '')),
  refreshTokenIn: (message) => /"refresh_token":\s*"([^"]+)"/.exec(message.toString('latin1'))![1]!,
};

function lines<Of extends Line>(count: number, bearers: readonly string[] = [], open: (bearer?: string) => Of): Of[] {
  return Array.from({ length: count }, (_, n) => open(bearers[n % bearers.length]));
}

/** One request of a method. */
export function encode<M extends DescMethodUnary>(
  wire: Wire,
  method: M,
  message: MessageInitShape<M['input']>,
): Buffer {
  return wire.encode(method, create(method.input, message));
}

/** Calls that send the requests in turn. */
export async function inTurn(wire: Wire, callers: readonly Line[], requests: readonly Buffer[]): Promise<Prepared> {
  let turn = 0;
  return prepared(wire, callers, () => requests[turn++ % requests.length]!);
}

/** Calls that send the next request each time. */
export async function prepared(wire: Wire, callers: readonly Line[], next: () => Buffer): Promise<Prepared> {
  const chain: Chain = async (slot) => {
    expectOk(await callers[slot % callers.length]!.call(next()));
  };
  const request = next();
  const sample = expectOk(await callers[0]!.call(request));
  return {
    chain,
    request,
    answerBytes: sample.message.length,
    isJson: wire.isJson,
    close: () => callers.forEach(close),
  };
}

export function close(caller: Line): void {
  caller.close();
}

export function expectOk(answer: Answer): Answer {
  if (answer.status !== 0) throw new Error(`${answer.status} ${answer.reason}`);
  return answer;
}
