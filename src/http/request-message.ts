import {
  create,
  type DescMessage,
  fromBinary,
  fromJsonString,
  type JsonValue,
  type Message,
  type Registry,
} from '@bufbuild/protobuf';
import { Refusal } from '../errors.ts';
import { findUnknown, type JsonFault } from './json-faults.ts';
import { findMistyped } from './json-types.ts';
import type { Sent } from './request-body.ts';

export interface JsonRules {
  /** Whether JSON with fields that are not in the contract is refused, and not read without them. */
  readonly refusesUnknownFields: boolean;
  /** The types that a google.protobuf.Any in JSON may hold. */
  readonly registry?: Registry | undefined;
}

/**
 * Reads a message in JSON. Throws MALFORMED_REQUEST, with the path of what is wrong. No body is an empty message.
 *
 * protobuf-es refuses unknown fields and unknown names of enums together. So what it reads strictly has neither, and only
 * what it refuses is looked through.
 */
export function readJson(schema: DescMessage, sent: Sent | undefined, rules: JsonRules): Message {
  if (!sent) return create(schema);
  const { registry } = rules;
  try {
    const text = Buffer.from(sent.bytes.buffer, sent.bytes.byteOffset, sent.bytes.byteLength).toString();
    return fromJsonString(schema, text, { ignoreUnknownFields: false, ...(registry && { registry }) });
  } catch {
    return readFaultyJson(schema, sent, rules);
  }
}

function readFaultyJson(schema: DescMessage, { bytes, noun }: Sent, rules: JsonRules): Message {
  const { refusesUnknownFields, registry } = rules;
  const text = new TextDecoder().decode(bytes);
  const json = parse(text, noun);
  const faults = findUnknown(schema, json, refusesUnknownFields);
  if (faults.length > 0) throw malformed(faults, noun);
  try {
    const ignoreUnknownFields = !refusesUnknownFields;
    return fromJsonString(schema, text, { ignoreUnknownFields, ...(registry && { registry }) });
  } catch {
    throw malformed([findMistyped(schema, json)], noun);
  }
}

/** Reads a message in protobuf. Throws MALFORMED_REQUEST. No body is an empty message. */
export function readProtobuf(schema: DescMessage, sent: Sent | undefined): Message {
  if (!sent) return create(schema);
  try {
    return fromBinary(schema, sent.bytes);
  } catch {
    const detail = `${sent.noun} is not a ${schema.name} in protobuf; for JSON send content-type: application/json`;
    throw new Refusal('MALFORMED_REQUEST', { detail });
  }
}

function parse(text: string, noun: string): JsonValue {
  if (text.trim() === '')
    throw new Refusal('MALFORMED_REQUEST', { detail: `${noun} is empty, an empty message is {}` });
  try {
    return JSON.parse(text) as JsonValue;
  } catch (thrown) {
    const [place = ''] = / at position \d+/.exec(String(thrown)) ?? [];
    throw new Refusal('MALFORMED_REQUEST', { detail: `${noun} is not JSON${place}` });
  }
}

function malformed(faults: readonly JsonFault[], noun: string): Refusal {
  const { field, description } = faults[0]!;
  const subject = field || noun;
  return new Refusal('MALFORMED_REQUEST', {
    detail: /^(is|must) /.test(description) ? `${subject} ${description}` : `${subject}: ${description}`,
    fields: faults.filter((each) => each.field !== ''),
  });
}
