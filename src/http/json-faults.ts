import type { DescEnum, DescField, DescMessage, JsonObject, JsonValue } from '@bufbuild/protobuf';
import { hasCustomJsonRepresentation } from '@bufbuild/protobuf/wkt';

/** What is wrong with the JSON of a request. It repeats no value but the name of an enum. */
export interface JsonFault {
  /** The path of the field, in the names of the proto. Empty for the whole body. */
  readonly field: string;
  readonly description: string;
}

const mostFaults = 20;
// protobuf-es parses no deeper.
const deepest = 100;

interface Search {
  readonly refusesUnknownFields: boolean;
  readonly faults: JsonFault[];
}

/**
 * The names in the JSON of a message that its enums do not have and, with `refusesUnknownFields`, the keys that are no
 * fields. protobuf-es can only refuse both or ignore both, and an ignored enum name would become the enum's default.
 */
export function findUnknown(schema: DescMessage, json: JsonValue, refusesUnknownFields: boolean): JsonFault[] {
  const faults: JsonFault[] = [];
  searchMessage(schema, json, '', { refusesUnknownFields, faults }, 0);
  return faults.slice(0, mostFaults);
}

function searchMessage(schema: DescMessage, json: JsonValue, path: string, search: Search, depth: number): void {
  // Anything but an object is refused when it is parsed. A Struct, a Timestamp and the like have no fields in JSON.
  if (!isObject(json) || hasCustomJsonRepresentation(schema) || depth > deepest) return;
  for (const [key, value] of Object.entries(json)) {
    const field = fieldNamed(schema, key);
    if (field) searchField(field, value, join(path, field.name), search, depth);
    else if (search.refusesUnknownFields) search.faults.push(unknownField(schema, join(path, shown(key))));
  }
}

function searchField(field: DescField, json: JsonValue, path: string, search: Search, depth: number): void {
  const { message, enum: names } = field;
  if (!message && !names) return;
  for (const [place, value] of valuesOf(field, json, path)) {
    if (message) searchMessage(message, value, place, search, depth + 1);
    else if (names && typeof value === 'string' && !isNameIn(names, value))
      search.faults.push({ field: place, description: describeEnum(names, value) });
  }
}

/** The values under a field: one, or those of a list or a map, each with its path. */
export function valuesOf(field: DescField, json: JsonValue, path: string): readonly [path: string, value: JsonValue][] {
  if (field.fieldKind === 'list')
    return Array.isArray(json) ? json.map((value, index) => [`${path}[${index}]`, value]) : [];
  if (field.fieldKind !== 'map') return [[path, json]];
  return isObject(json) ? Object.entries(json).map(([key, value]) => [`${path}[${shown(key)}]`, value]) : [];
}

/** The field of this name, in the proto's spelling or that of JSON. */
export function fieldNamed(schema: DescMessage, key: string): DescField | undefined {
  return schema.fields.find(({ name, jsonName }) => name === key || jsonName === key);
}

function unknownField({ name }: DescMessage, field: string): JsonFault {
  return { field, description: `is not a field of ${name}` };
}

function isNameIn({ values }: DescEnum, found: string): boolean {
  return values.some(({ name, jsonName }) => name === found || jsonName === found);
}

/** What an enum field takes. It repeats what was found instead, if that looks like the name of an enum value. */
export function describeEnum({ values }: DescEnum, found?: JsonValue): string {
  const names = values.map(({ name }) => name).join(', ');
  const isName = typeof found === 'string' && /^[A-Z][A-Z0-9_]{0,63}$/.test(found);
  return isName ? `${found} is not one of ${names}` : `must be one of ${names}`;
}

/** A key as it may be repeated: a secret in its place is not. */
function shown(key: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(key) ? key : '?';
}

export function join(path: string, name: string): string {
  return path ? `${path}.${name}` : name;
}

export function isObject(json: JsonValue): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}
