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

/** The response of a method in docs/api.md, spelled as the service spells it: with false, 0 and empty values. */
export function responseExample(method: DescMethod): JsonObject {
  const message = fromJson(method.output, sampleOf(method.output, method));
  return toJson(method.output, message, { alwaysEmitImplicit: true }) as JsonObject;
}

function sampleOf(message: DescMessage, method: DescMethod): JsonObject {
  const shown = message.fields.filter((each) => !each.oneof || each.oneof.fields[0] === each);
  const pairs = shown.map((each): [string, JsonValue | undefined] => [each.jsonName, sampleValue(each, method)]);
  return Object.fromEntries(pairs.filter((pair): pair is [string, JsonValue] => pair[1] !== undefined));
}

function sampleValue(field: DescField, method: DescMethod): JsonValue | undefined {
  const name = `${field.parent.name}.${field.name}`;
  const names = [
    `${nameOf(method)} ${name}`,
    `${method.parent.name} ${name}`,
    name,
    field.name,
    field.message?.typeName ?? '',
  ];
  const known = names.find((each) => each in values);
  const value = known === undefined ? defaultOf(field, method) : values[known];
  return field.fieldKind === 'list' && value !== undefined ? [value] : value;
}

function defaultOf(field: DescField, method: DescMethod): JsonValue {
  if (field.message) return sampleOf(field.message, method);
  if (field.enum) return field.enum.values.find(({ number }) => number > 0)!.name;
  if (field.scalar === ScalarType.BOOL) return false;
  throw new Error(`tools/reference/example-values.ts has no value of ${field.parent.name}.${field.name}`);
}
