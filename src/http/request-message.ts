import type { DescMessage, JsonValue } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { ConnectError } from '@connectrpc/connect';
import { readAllBytes, type UniversalHandler, type UniversalServerRequest } from '@connectrpc/connect/protocol';
import { parseContentType } from '@connectrpc/connect/protocol-connect';
import { compressionGzip } from '@connectrpc/connect-node';
import { Refusal } from '../errors.ts';
import { reasonOfCode } from '../rpc/connect-error.ts';
import { findUnknown, type JsonFault } from './json-faults.ts';
import { findMistyped } from './json-types.ts';
import { largestRequest } from './limits.ts';

/** A unary request whose message was looked at before Connect parses it. */
export interface CheckedRequest {
  readonly request: UniversalServerRequest;
  /** What is wrong with a message that Connect could not parse. */
  explain(): Refusal;
}

/** A message on its way to Connect. */
interface Sent {
  readonly bytes: Uint8Array;
  readonly isGzip: boolean;
  /** What a person calls it. */
  readonly noun: string;
}

/**
 * Reads the message of a unary request, and refuses names in its JSON that its type does not have. Everything else is
 * left to Connect, which gets the message as it was sent.
 */
export async function checkRequest(
  { method }: UniversalHandler,
  request: UniversalServerRequest,
  refusesUnknownFields: boolean,
): Promise<CheckedRequest> {
  if (method.methodKind !== 'unary' || !isKnown(encodingOf(request)))
    return { request, explain: () => new Refusal('MALFORMED_REQUEST') };
  const sent = request.method === 'GET' ? messageOf(request) : await bodyOf(request);
  const checked = request.method === 'GET' ? request : { ...request, body: iterate(sent.bytes) };
  if (!isJson(request)) return { request: checked, explain: () => notProtobuf(method.input, sent) };
  const json = parse(await unzip(sent), sent.noun);
  const [...faults] = findUnknown(method.input, json, refusesUnknownFields);
  if (faults.length > 0) throw malformed(faults, sent);
  return { request: checked, explain: () => malformed([findMistyped(method.input, json)], sent) };
}

/** Whether the message is JSON, and not protobuf. */
function isJson({ method, url, header }: UniversalServerRequest): boolean {
  if (method === 'GET') return new URL(url).searchParams.get('encoding') === 'json';
  return parseContentType(header.get('content-type'))?.binary === false;
}

function encodingOf({ method, url, header }: UniversalServerRequest): string | null {
  return method === 'GET' ? new URL(url).searchParams.get('compression') : header.get('content-encoding');
}

function isKnown(encoding: string | null): boolean {
  return encoding === null || encoding === 'identity' || encoding === compressionGzip.name;
}

async function bodyOf(request: UniversalServerRequest): Promise<Sent> {
  const { header } = request;
  const body = request.body as AsyncIterable<Uint8Array>;
  const bytes = await refuseFaults(
    readAllBytes(body, largestRequest, header.get('content-length')),
    'the body is cut short',
  );
  return { bytes, isGzip: encodingOf(request) === compressionGzip.name, noun: 'the body' };
}

function messageOf(request: UniversalServerRequest): Sent {
  const query = new URL(request.url).searchParams;
  const text = query.get('message') ?? '';
  const noun = 'the parameter message';
  const isGzip = encodingOf(request) === compressionGzip.name;
  if (query.get('base64') !== '1') return { bytes: new TextEncoder().encode(text), isGzip, noun };
  try {
    return { bytes: base64Decode(text), isGzip, noun };
  } catch {
    throw new Refusal('MALFORMED_REQUEST', { detail: `${noun} is not base64` });
  }
}

function unzip({ bytes, isGzip, noun }: Sent): Promise<Uint8Array> | Uint8Array {
  if (!isGzip) return bytes;
  return refuseFaults(compressionGzip.decompress(bytes, largestRequest), `${noun} is not in gzip`);
}

async function refuseFaults(reading: Promise<Uint8Array>, detail: string): Promise<Uint8Array> {
  try {
    return await reading;
  } catch (thrown) {
    if (!(thrown instanceof ConnectError)) throw thrown;
    const reason = reasonOfCode(thrown.code);
    throw new Refusal(reason, { cause: thrown, ...(reason === 'MALFORMED_REQUEST' && { detail }) });
  }
}

function parse(bytes: Uint8Array, noun: string): JsonValue {
  const text = new TextDecoder().decode(bytes);
  if (text.trim() === '')
    throw new Refusal('MALFORMED_REQUEST', { detail: `${noun} is empty, an empty message is {}` });
  try {
    return JSON.parse(text) as JsonValue;
  } catch (thrown) {
    const [place = ''] = / at position \d+/.exec(String(thrown)) ?? [];
    throw new Refusal('MALFORMED_REQUEST', { detail: `${noun} is not JSON${place}` });
  }
}

function notProtobuf({ name }: DescMessage, { isGzip, noun }: Sent): Refusal {
  const form = isGzip ? 'in protobuf and gzip' : 'in protobuf';
  return new Refusal('MALFORMED_REQUEST', {
    detail: `${noun} is not a ${name} ${form}; for JSON send content-type: application/json`,
  });
}

function malformed(faults: readonly JsonFault[], { noun }: Sent): Refusal {
  const { field, description } = faults[0]!;
  const subject = field || noun;
  return new Refusal('MALFORMED_REQUEST', {
    detail: /^(is|must) /.test(description) ? `${subject} ${description}` : `${subject}: ${description}`,
    fields: faults.filter((each) => each.field !== ''),
  });
}

export async function* iterate(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
