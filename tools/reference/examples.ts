import {
  type DescField,
  type DescMessage,
  type DescMethod,
  fromJson,
  type JsonObject,
  type JsonValue,
  ScalarType,
  toJson,
} from '@bufbuild/protobuf';
import { nameOf } from './contract.ts';
import { values } from './example-values.ts';
import { requestExamples } from './request-examples.ts';

/** The request of a method in docs/api.md. Throws when it is missing or has a field that its message does not have. */
export function requestExample(method: DescMethod): JsonObject {
  const written = requestExamples[nameOf(method)];
  if (!written) throw new Error(`tools/reference/request-examples.ts has no request of ${nameOf(method)}`);
  fromJson(method.input, written);
  return written;
}

/** The response of a method in docs/api.md, spelled as the service spells it: without fields that hold their default. */
export function responseExample(method: DescMethod): JsonObject {
  return toJson(method.output, fromJson(method.output, sampleOf(method.output, method.parent.name))) as JsonObject;
}

function sampleOf(message: DescMessage, service: string): JsonObject {
  const shown = message.fields.filter((each) => !each.oneof || each.oneof.fields[0] === each);
  const pairs = shown.map((each): [string, JsonValue | undefined] => [each.jsonName, sampleValue(each, service)]);
  return Object.fromEntries(pairs.filter((pair): pair is [string, JsonValue] => pair[1] !== undefined));
}

function sampleValue(field: DescField, service: string): JsonValue | undefined {
  const name = `${field.parent.name}.${field.name}`;
  const names = [`${service} ${name}`, name, field.name, field.message?.typeName ?? ''];
  const known = names.find((each) => each in values);
  const value = known === undefined ? defaultOf(field, service) : values[known];
  return field.fieldKind === 'list' && value !== undefined ? [value] : value;
}

function defaultOf(field: DescField, service: string): JsonValue {
  if (field.message) return sampleOf(field.message, service);
  if (field.enum) return field.enum.values.find(({ number }) => number > 0)!.name;
  if (field.scalar === ScalarType.BOOL) return false;
  throw new Error(`tools/reference/example-values.ts has no value of ${field.parent.name}.${field.name}`);
}
