import { create, createFileRegistry, fromJson, type JsonValue } from '@bufbuild/protobuf';
import {
  file_google_protobuf_duration as duration,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_field_mask as fieldMask,
  FieldDescriptorProto_Label as Label,
  file_google_protobuf_struct as struct,
  FieldDescriptorProto_Type as Type,
  file_google_protobuf_timestamp as timestamp,
  file_google_protobuf_wrappers as wrappers,
} from '@bufbuild/protobuf/wkt';
import { describe, expect, test } from 'vitest';
import { findUnknown } from '../../src/http/json-faults.ts';
import { findMistyped } from '../../src/http/json-types.ts';

/** A message with a field of every kind there is. */
const everything = describeEverything();

/** JSON that is right in every place where a search could go astray. */
const right: JsonValue = {
  text: 'x',
  kind: 'KIND_ONE',
  kinds: ['KIND_ONE', 'KIND_TWO', 1],
  kindByName: { 'any key': 'KIND_TWO' },
  inner: { kind: 2, inner: { inner: { kind: 'KIND_ONE' } } },
  inners: [{}, { kind: 'KIND_ONE' }],
  inner_by_name: { nope: { kind: 'KIND_TWO' } },
  chosenInner: { kind: 'KIND_ONE' },
  struct: { kind: 'NOPE', nope: { nope: [{ kind: 'NOPE' }] } },
  value: [{ nope: 'NOPE' }],
  listValue: [{ nope: 1 }],
  wrapped: 'NOPE',
  null: null,
  time: '2026-11-29T12:00:00Z',
  duration: '1.5s',
  mask: 'nope,kind',
  bytes: 'bm9wZQ',
};

describe('names that the contract does not have', () => {
  test('are found nowhere in a message that is right', () => {
    expect(findUnknown(everything, right, true)).toEqual([]);
    expect(fromJson(everything, right)).toBeDefined();
  });

  test.each<[path: string, json: JsonValue]>([
    ['nope', { nope: 1 }],
    ['nope', { nope: null }],
    ['inner.nope', { inner: { nope: 1 } }],
    ['inner.inner.inner.nope', { inner: { inner: { inner: { nope: {} } } } }],
    ['inners[1].nope', { inners: [{}, { nope: 1 }] }],
    ['inner_by_name[a].nope', { innerByName: { a: { nope: 1 } } }],
    ['inner_by_name[?].nope', { innerByName: { 'a key with spaces': { nope: 1 } } }],
    ['chosen_inner.nope', { chosenInner: { nope: 1 } }],
    ['?', { 'kestrel-4711': 1 }],
    ['inner.?', { inner: { '': 1 } }],
    ['__proto__', JSON.parse('{"__proto__":{"polluted":1}}')],
    ['constructor', { constructor: 1 }],
  ])('as fields are found with their path: %s', (field, json) => {
    const name = field.includes('.') ? 'Inner' : 'Everything';
    expect(findUnknown(everything, json, true)).toEqual([{ field, description: `is not a field of ${name}` }]);
    expect(findUnknown(everything, json, false), 'unless they are to be ignored').toEqual([]);
    expect(() => fromJson(everything, json)).toThrow();
  });

  test.each<[path: string, json: JsonValue]>([
    ['kind', { kind: 'NOPE' }],
    ['kinds[1]', { kinds: ['KIND_ONE', 'NOPE'] }],
    ['kind_by_name[a]', { kindByName: { a: 'NOPE' } }],
    ['inner.kind', { inner: { kind: 'NOPE' } }],
    ['inners[0].kind', { inners: [{ kind: 'NOPE' }] }],
    ['inner_by_name[a].kind', { innerByName: { a: { kind: 'NOPE' } } }],
    ['chosen_kind', { chosenKind: 'NOPE' }],
    ['chosen_inner.kind', { chosenInner: { kind: 'NOPE' } }],
  ])('as values of enums are found with their path, always: %s', (field, json) => {
    const description = 'NOPE is not one of KIND_UNSPECIFIED, KIND_ONE, KIND_TWO';
    for (const refuses of [true, false])
      expect(findUnknown(everything, json, refuses)).toEqual([{ field, description }]);
    // What protobuf-es makes of it when it ignores unknown fields.
    expect(() => fromJson(everything, json, { ignoreUnknownFields: true })).not.toThrow();
  });

  test('are repeated only when they look like names', () => {
    for (const secret of ['kestrel-4711', 'hunter2', 'a difference engine', 'X'.repeat(65), 'eyJhbGciOi.JIUzI1.NiJ9'])
      expect(JSON.stringify(findUnknown(everything, { kind: secret }, true))).not.toContain(secret);
  });

  test('are reported twenty at a time, at any depth that can be sent', () => {
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`nope${n}`, n]));
    expect(findUnknown(everything, many, true)).toHaveLength(20);
    const deep = JSON.parse(`${'{"inner":'.repeat(7000)}{"nope":1}${'}'.repeat(7000)}`);
    expect(findUnknown(everything, deep, true)).toEqual([]);
    expect(() => fromJson(everything, deep), 'refused for its depth').toThrow();
  });
});

describe('a value of another type', () => {
  test.each<[json: JsonValue, field: string, description: string]>([
    [[], '', 'must be an object with the fields of Everything'],
    ['text', '', 'must be an object with the fields of Everything'],
    [null, '', 'must be an object with the fields of Everything'],
    [{ text: 1 }, 'text', 'must be a string of Unicode text'],
    [{ text: '\ud800' }, 'text', 'must be a string of Unicode text'],
    [{ truth: 'yes' }, 'truth', 'must be true or false'],
    [{ number: 'one' }, 'number', 'must be a whole number in the range of its type'],
    [{ number: 2 ** 31 }, 'number', 'must be a whole number in the range of its type'],
    [{ bytes: '*' }, 'bytes', 'must be a string in base64'],
    [{ kind: true }, 'kind', 'must be one of KIND_UNSPECIFIED, KIND_ONE, KIND_TWO'],
    [{ kinds: 'KIND_ONE' }, 'kinds', 'must be an array'],
    [{ kinds: ['KIND_ONE', null] }, 'kinds[1]', 'must not be null'],
    [{ kinds: ['KIND_ONE', {}] }, 'kinds[1]', 'must be one of KIND_UNSPECIFIED, KIND_ONE, KIND_TWO'],
    [{ inner: [] }, 'inner', 'must be an object with the fields of Inner'],
    [{ inner: { inner: { kind: 1.5 } } }, 'inner.inner.kind', 'must be one of KIND_UNSPECIFIED, KIND_ONE, KIND_TWO'],
    [{ inners: [{}, 1] }, 'inners[1]', 'must be an object with the fields of Inner'],
    [{ inners: [{}, { text: 1 }] }, 'inners[1].text', 'must be a string of Unicode text'],
    [{ innerByName: [] }, 'inner_by_name', 'must be an object'],
    [{ innerByName: { a: {}, b: { text: 1 } } }, 'inner_by_name[b].text', 'must be a string of Unicode text'],
    [{ text: 'x', inner: {}, wrapped: 1 }, 'wrapped', 'must be a string of Unicode text'],
    [{ struct: [] }, 'struct', 'must be an object, nested less than 100 levels deep'],
    [{ time: 'noon' }, 'time', 'must be a time in RFC 3339, such as "2026-11-29T12:00:00Z"'],
    [{ duration: 5 }, 'duration', 'must be a duration in seconds, such as "3.5s"'],
    [{ mask: 1 }, 'mask', 'must be a string of field names with commas between them'],
    [{ chosenKind: 1, chosenInner: {} }, '', 'only one of chosen_kind, chosen_inner may be set'],
    [{ innerByName: {}, inner_by_name: {} }, 'inner_by_name', 'is set twice'],
  ])('%j is named with its path', (json, field, description) => {
    expect(findUnknown(everything, json, true)).toEqual([]);
    expect(() => fromJson(everything, json)).toThrow();
    expect(findMistyped(everything, json)).toEqual({ field, description });
  });
});

function describeEverything() {
  const repeated = Label.REPEATED;
  const named = (name: string) => ({ name, jsonName: name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()) });
  const message = (name: string, number: number, typeName: string, more: object = {}) => ({
    ...named(name),
    number,
    type: Type.MESSAGE,
    typeName,
    label: Label.OPTIONAL,
    ...more,
  });
  const scalar = (name: string, number: number, type: Type) => ({
    ...named(name),
    number,
    type,
    label: Label.OPTIONAL,
  });
  const kind = (name: string, number: number, more: object = {}) => ({
    ...message(name, number, '.test.Kind', more),
    type: Type.ENUM,
  });
  const entry = (name: string, value: object) => ({
    name,
    field: [scalar('key', 1, Type.STRING), value],
    options: { mapEntry: true },
  });
  const inOneof = { oneofIndex: 0 };
  const dependencies = [duration, fieldMask, struct, timestamp, wrappers];
  const file = create(FileDescriptorProtoSchema, {
    name: 'test/everything.proto',
    package: 'test',
    syntax: 'proto3',
    dependency: dependencies.map(({ proto }) => proto.name),
    enumType: [
      { name: 'Kind', value: ['KIND_UNSPECIFIED', 'KIND_ONE', 'KIND_TWO'].map((name, number) => ({ name, number })) },
    ],
    messageType: [
      {
        name: 'Inner',
        field: [kind('kind', 1), message('inner', 2, '.test.Inner'), scalar('text', 3, Type.STRING)],
      },
      {
        name: 'Everything',
        oneofDecl: [{ name: 'choice' }],
        nestedType: [
          entry('InnerByNameEntry', message('value', 2, '.test.Inner')),
          entry('KindByNameEntry', kind('value', 2)),
        ],
        field: [
          scalar('text', 1, Type.STRING),
          scalar('truth', 2, Type.BOOL),
          scalar('number', 3, Type.INT32),
          scalar('bytes', 4, Type.BYTES),
          kind('kind', 5),
          kind('kinds', 6, { label: repeated }),
          message('kind_by_name', 7, '.test.Everything.KindByNameEntry', { label: repeated }),
          message('inner', 8, '.test.Inner'),
          message('inners', 9, '.test.Inner', { label: repeated }),
          message('inner_by_name', 10, '.test.Everything.InnerByNameEntry', { label: repeated }),
          kind('chosen_kind', 11, inOneof),
          message('chosen_inner', 12, '.test.Inner', inOneof),
          message('struct', 13, '.google.protobuf.Struct'),
          message('value', 14, '.google.protobuf.Value'),
          message('list_value', 15, '.google.protobuf.ListValue'),
          message('wrapped', 16, '.google.protobuf.StringValue'),
          message('time', 17, '.google.protobuf.Timestamp'),
          message('duration', 18, '.google.protobuf.Duration'),
          message('mask', 19, '.google.protobuf.FieldMask'),
          { ...kind('null', 20), typeName: '.google.protobuf.NullValue' },
        ],
      },
    ],
  });
  const files = [...dependencies.map(({ proto }) => proto), file];
  return createFileRegistry(create(FileDescriptorSetSchema, { file: files })).getMessage('test.Everything')!;
}
