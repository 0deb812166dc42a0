import { type DescField, type DescMessage, fromJson, type JsonValue, ScalarType } from '@bufbuild/protobuf';
import { hasCustomJsonRepresentation } from '@bufbuild/protobuf/wkt';
import { describeEnum, fieldNamed, isObject, type JsonFault, join, valuesOf } from './json-faults.ts';

/**
 * The first value that is not of its field's type, in JSON that protobuf-es could not read. Its own message names no
 * path, and may quote the value.
 */
export function findMistyped(schema: DescMessage, json: JsonValue, path = ''): JsonFault {
  if (!isObject(json)) return { field: path, description: `must be an object with the fields of ${schema.name}` };
  const seen = new Set<DescField>();
  for (const [key, value] of Object.entries(json)) {
    const field = fieldNamed(schema, key);
    if (!field) continue;
    const place = join(path, field.name);
    if (seen.has(field)) return { field: place, description: 'is set twice' };
    if (!isReadable(schema, key, value)) return findInField(schema, field, value, place);
    seen.add(field);
  }
  return { field: path, description: describeOneof([...seen]) ?? 'a field is set twice' };
}

/** protobuf-es is the judge, so that what it takes for each type is not written down a second time. */
function isReadable(schema: DescMessage, key: string, value: JsonValue): boolean {
  try {
    fromJson(schema, { [key]: value }, { ignoreUnknownFields: true });
    return true;
  } catch {
    return false;
  }
}

function findInField(schema: DescMessage, field: DescField, json: JsonValue, path: string): JsonFault {
  if (field.fieldKind === 'list' && !Array.isArray(json)) return { field: path, description: 'must be an array' };
  if (field.fieldKind === 'map' && !isObject(json)) return { field: path, description: 'must be an object' };
  const wrong = valuesOf(field, json, path).find(([, value]) => !isReadable(schema, field.name, alone(field, value)));
  const [place, value] = wrong ?? [path, json];
  const { message } = field;
  if (message && value !== null && !hasCustomJsonRepresentation(message)) return findMistyped(message, value, place);
  return { field: place, description: value === null ? 'must not be null' : describeType(field) };
}

/** A value of a list or a map as the only one of it. */
function alone({ fieldKind }: DescField, value: JsonValue): JsonValue {
  if (fieldKind === 'list') return [value];
  return fieldKind === 'map' ? { key: value } : value;
}

function describeOneof(fields: readonly DescField[]): string | undefined {
  const first = fields.find(
    ({ oneof }, index) => oneof && fields.slice(index + 1).some((each) => each.oneof === oneof),
  );
  if (!first) return undefined;
  const names = fields.filter(({ oneof }) => oneof === first.oneof).map(({ name }) => name);
  return `only one of ${names.join(', ')} may be set`;
}

function describeType(field: DescField): string {
  if (field.enum) return describeEnum(field.enum);
  if (field.message) return describeWellKnown(field.message);
  return scalars[field.scalar ?? ScalarType.STRING] ?? 'must be a whole number in the range of its type';
}

const scalars: Partial<Record<ScalarType, string>> = {
  [ScalarType.STRING]: 'must be a string of Unicode text',
  [ScalarType.BOOL]: 'must be true or false',
  [ScalarType.BYTES]: 'must be a string in base64',
  [ScalarType.DOUBLE]: 'must be a number',
  [ScalarType.FLOAT]: 'must be a number',
};

const wellKnown: Readonly<Record<string, string>> = {
  'google.protobuf.Timestamp': 'must be a time in RFC 3339, such as "2026-11-29T12:00:00Z"',
  'google.protobuf.Duration': 'must be a duration in seconds, such as "3.5s"',
  'google.protobuf.Struct': 'must be an object, nested less than 100 levels deep',
  'google.protobuf.FieldMask': 'must be a string of field names with commas between them',
};

function describeWellKnown({ typeName, fields }: DescMessage): string {
  const wrapped = fields.length === 1 && fields[0]!.fieldKind === 'scalar' ? fields[0]! : undefined;
  return wellKnown[typeName] ?? (wrapped ? describeType(wrapped) : `must be a ${typeName} in JSON`);
}
