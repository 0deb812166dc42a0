import { type DescMessage, equals, fromJsonString, type Message } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SignInRequestSchema } from '../../gen/gatehouse/v1/auth_pb.ts';
import { Refusal } from '../../src/errors.ts';
import { findUnknown } from '../../src/http/json-faults.ts';
import { readJson } from '../../src/http/request-message.ts';
import { methods } from '../support/contract.ts';

const inputs = methods.map(({ input }) => input);

test('JSON that is read strictly first has the message and the refusal of JSON that is searched first', () => {
  let read = 0;
  let refused = 0;
  const sent = fc.constantFrom(...inputs).chain((schema) => fc.tuple(fc.constant(schema), textFor(schema)));
  const check = ([schema, text]: [DescMessage, string], refusesUnknownFields: boolean) => {
    const expected = searchedFirst(schema, text, refusesUnknownFields);
    const bytes = Buffer.from(text);
    try {
      const message = readJson(schema, { bytes, noun: 'the body' }, { refusesUnknownFields });
      expect(expected && equals(schema, message, expected), text).toBe(true);
      read++;
    } catch (thrown) {
      expect(thrown, text).toBeInstanceOf(Refusal);
      expect(expected, text).toBeUndefined();
      refused++;
    }
  };
  fc.assert(fc.property(sent, fc.boolean(), check), { numRuns: 3000 });
  expect(Math.min(read, refused)).toBeGreaterThan(300);
});

test('a byte order mark is not a part of the message', () => {
  const bytes = Buffer.from('\ufeff{"email":"ada@example.org"}');
  const rules = { refusesUnknownFields: true };
  expect(readJson(SignInRequestSchema, { bytes, noun: 'the body' }, rules)).toMatchObject({ email: 'ada@example.org' });
});

/** Undefined for what is refused. */
function searchedFirst(schema: DescMessage, text: string, refusesUnknownFields: boolean): Message | undefined {
  try {
    if (findUnknown(schema, JSON.parse(text), refusesUnknownFields).length > 0) return undefined;
    return fromJsonString(schema, text, { ignoreUnknownFields: !refusesUnknownFields });
  } catch {
    return undefined;
  }
}

/** Objects with keys of the message and others, and with values of its enums and others, some twice. */
function textFor(schema: DescMessage, depth = 0): fc.Arbitrary<string> {
  const known = schema.fields.flatMap(({ name, jsonName }) => [name, jsonName]);
  const names = schema.fields.flatMap((field) => (field.enum ? field.enum.values.map((each) => each.name) : []));
  const scalars = [
    '"a"',
    '""',
    '"ada@example.org"',
    '1',
    '"7"',
    'true',
    'null',
    '[]',
    '{}',
    '["a"]',
    '1.5',
    '"5s"',
    '"NOPE"',
  ];
  const values = fc.constantFrom(...scalars, ...names.map((each) => JSON.stringify(each)));
  const inner = schema.fields.flatMap(({ message }) => (message && depth < 2 ? [textFor(message, depth + 1)] : []));
  const keys =
    known.length > 0
      ? fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...known) }, fc.constant('nope'))
      : fc.constant('nope');
  const pair = fc.tuple(keys, fc.oneof(values, ...inner)).map(([key, value]) => `${JSON.stringify(key)}:${value}`);
  return fc.array(pair, { maxLength: 3 }).map((pairs) => `{${pairs.join(',')}}`);
}
