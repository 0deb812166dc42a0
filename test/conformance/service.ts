import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createFileRegistry,
  type DescMessage,
  type DescService,
  type FileRegistry,
  fromBinary,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  toJson,
} from '@bufbuild/protobuf';
import { AnySchema, anyPack, anyUnpack, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type HandlerContext, type ServiceImplSpec } from '@connectrpc/connect';
import { serve } from '../../src/rpc/services.ts';

/** What a request of the suite asks for, in JSON. */
interface Definition {
  readonly responseHeaders?: readonly Header[];
  readonly responseTrailers?: readonly Header[];
  readonly responseDelayMs?: number;
  /** Of a unary method one, of a stream a list. */
  readonly responseData?: string | readonly string[];
  readonly error?: { readonly code: string; readonly message?: string; readonly details?: readonly JsonValue[] };
}

interface Header {
  readonly name: string;
  readonly value: readonly string[];
}

/** Reads the suite's protos, from a folder with a buf.yaml. */
export function readSuite(folder: string): FileRegistry {
  const buf = path.resolve(import.meta.dirname, '../../node_modules/.bin/buf');
  const built = execFileSync(buf, ['build', folder, '--as-file-descriptor-set', '-o', '-'], { maxBuffer: 1 << 26 });
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, built));
}

/** The service of the suite: each request says what its response has to be. */
export function conformanceService(suite: FileRegistry): ServiceImplSpec {
  const service = suite.getService('connectrpc.conformance.v1.ConformanceService')!;
  const infoType = suite.getMessage('connectrpc.conformance.v1.ConformancePayload.RequestInfo')!;
  const outputOf = (localName: string) => service.method[localName]!.output;

  const infoOf = (requests: readonly Message[], context: HandlerContext): JsonObject => ({
    requestHeaders: headersOf(context.requestHeader),
    requests: requests.map((each) => toJson(AnySchema, pack(suite, each), { registry: suite })),
    ...(timeoutOf(context) !== undefined && { timeoutMs: `${timeoutOf(context)}` }),
    ...(context.requestMethod === 'GET' && { connectGetInfo: { queryParams: parametersOf(context.url) } }),
  });

  const unary = (localName: string) => async (request: Message, context: HandlerContext) => {
    const definition = definitionOf(suite, request);
    await announce(definition, context);
    await sleep(definition?.responseDelayMs ?? 0);
    if (definition?.error)
      throw errorOf(suite, definition.error, fromJson(infoType, infoOf([request], context), { registry: suite }));
    const payload = { data: definition?.responseData ?? '', requestInfo: infoOf([request], context) } as JsonObject;
    return fromJson(outputOf(localName), { payload }, { registry: suite });
  };

  async function* serverStream(request: Message, context: HandlerContext) {
    const definition = definitionOf(suite, request);
    await announce(definition, context);
    let isFirst = true;
    for (const data of (definition?.responseData ?? []) as readonly string[]) {
      await sleep(definition?.responseDelayMs ?? 0);
      const payload: JsonObject = { data, ...(isFirst && { requestInfo: infoOf([request], context) }) };
      yield fromJson(outputOf('serverStream'), { payload }, { registry: suite });
      isFirst = false;
    }
    const { error } = definition ?? {};
    const info = isFirst ? fromJson(infoType, infoOf([request], context), { registry: suite }) : undefined;
    if (error) throw errorOf(suite, error, info);
  }

  const notServed = () => {
    throw new ConnectError('not implemented', Code.Unimplemented);
  };
  const implementation = { unary: unary('unary'), idempotentUnary: unary('idempotentUnary'), serverStream };
  const rest = { clientStream: notServed, bidiStream: notServed, unimplemented: notServed };
  return serve(service as DescService, { ...implementation, ...rest } as never);
}

function definitionOf(suite: FileRegistry, request: Message): Definition | undefined {
  const type = suite.getMessage(request.$typeName) as DescMessage;
  return (toJson(type, request, { registry: suite }) as { responseDefinition?: Definition }).responseDefinition;
}

async function announce(definition: Definition | undefined, context: HandlerContext): Promise<void> {
  for (const { name, value } of definition?.responseHeaders ?? [])
    for (const each of value) context.responseHeader.append(name, each);
  for (const { name, value } of definition?.responseTrailers ?? [])
    for (const each of value) context.responseTrailer.append(name, each);
}

function errorOf(
  suite: FileRegistry,
  { code, message, details = [] }: NonNullable<Definition['error']>,
  info?: Message,
) {
  const error = new ConnectError(message ?? '', codeOf(code));
  const unpacked = details.map((each) => anyUnpack(fromJson(AnySchema, each, { registry: suite }), suite)!);
  for (const value of [...unpacked, ...(info ? [info] : [])])
    error.details.push({ desc: suite.getMessage(value.$typeName)!, value: value as never });
  return error;
}

/** CODE_NOT_FOUND is NotFound in Connect. */
function codeOf(name: string): Code {
  const words = name.replace('CODE_', '').toLowerCase().split('_');
  const key = words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('') as keyof typeof Code;
  return Code[key];
}

function pack(suite: FileRegistry, message: Message) {
  return anyPack(suite.getMessage(message.$typeName)!, message);
}

function headersOf(headers: Headers): JsonObject[] {
  return [...headers].map(([name, value]) => ({ name, value: value.split(', ') }));
}

function parametersOf(url: string): JsonObject[] {
  return [...new URL(url).searchParams].map(([name, value]) => ({ name, value: [value] }));
}

/** What was left of the time that the client gave. Without any, a call has 30 s here. */
function timeoutOf(context: HandlerContext): number | undefined {
  const left = context.timeoutMs();
  return left === undefined || left > 29_000 ? undefined : Math.ceil(left);
}
