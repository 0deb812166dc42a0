import { type DescField, ScalarType } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { DurationSchema, StructSchema, TimestampSchema } from '@bufbuild/protobuf/wkt';

/** Part of every bad value, so that a response that quotes one is found. */
export const canary = 'kestrel-4711';

/** A bad value of one field. */
export interface Bad {
  readonly what: string;
  /** For JSON the text of the value, for protobuf the bytes of the field, its tag included. */
  readonly bytes: Buffer;
  /** Refused with REQUEST_TOO_LARGE; other bad values with INVALID_ARGUMENT naming the field, or MALFORMED_REQUEST. */
  readonly isTooLarge?: true;
}

const uuids = ['', 'not-a-uuid', '00000000-0000-0000-0000-00000000000', '{00000000-0000-7000-8000-000000000001}', '1'];
const controls = ['\u0000', '\u0001', '\u0009', '\u000a', '\u001f', '\u007f', '\u0080', '\u0085', '\u009f', '\ufffd'];
/** Refused in texts that are shown to people. */
const unseen = [
  ...['\u00ad', '\u061c', '\u200b', '\u200e', '\u200f', '\ufeff'],
  ...['\u202a', '\u202b', '\u202c', '\u202d', '\u202e', '\u2066', '\u2067', '\u2068', '\u2069'],
];
const notText = {
  'no UTF-8': [0xff, 0xfe],
  'overlong UTF-8': [0xc0, 0xaf],
  'a surrogate as UTF-8': [0xed, 0xa0, 0x80],
};
const large = 'x'.repeat(100_000);

const wrongTypes = [
  `{"$ne":"${canary}"}`,
  `{"__proto__":{"polluted":"${canary}"}}`,
  '[]',
  `["${canary}"]`,
  '[null]',
  '[[1]]',
];
const dangerousMaps = ['__proto__', 'constructor', 'prototype'].flatMap((key) => [
  `{"${key}":"${canary}"}`,
  `{"a":[{"${key}":{"polluted":"${canary}"}}]}`,
]);
const wrongTypesOf = {
  text: ['1', 'true', '1e400', '-0.5', ...wrongTypes],
  number: ['true', '"abc"', '""', '" 1"', ...wrongTypes],
  truth: ['1', '0', '"true"', '""', '"yes"', ...wrongTypes],
  choice: ['true', '"NOT_A_CHOICE"', '""', '1.5', '1e400', ...wrongTypes],
  duration: ['1', 'true', '{"seconds":"1"}', ...wrongTypes],
  bytes: ['1', 'true', '"*"', ...wrongTypes],
  time: ['1', 'true', '""', '"abc"', '"2026-13-01T00:00:00Z"', '"10000-01-01T00:00:00Z"', ...wrongTypes],
  map: ['1', 'true', '"x"', '[]', '[null]', ...dangerousMaps],
  record: ['1', 'true', '"x"', '[]', '{"signUp":1}', '{"signUp":"yes"}'],
  list: [
    '1',
    'true',
    '"SETTING_NAME_SIGN_UP"',
    '[0]',
    '[99]',
    '[null]',
    `["${canary}"]`,
    '{"0":"SETTING_NAME_SIGN_UP"}',
  ],
};
const noNumbers = [
  '1e400',
  '-1e400',
  'NaN',
  '"NaN"',
  'Infinity',
  '"Infinity"',
  '"-Infinity"',
  '1.5',
  '9223372036854775808',
];
const badNumbers = ['-1', '2147483648', '-2147483649', '"9223372036854775808"', ...noNumbers];
const badDurations = [
  'abc',
  '',
  '5',
  's',
  '-1s',
  '1.2.3s',
  '1e3s',
  'NaNs',
  'Infinitys',
  '315576000001s',
  `${'9'.repeat(40)}s`,
];

/** Every bad value of a field, in JSON. `sample` is a good one. */
export function badJson(field: DescField, sample: string): Bad[] {
  switch (kindOf(field)) {
    case 'text':
      return [...spell(wrongTypesOf.text), ...badTexts(field, sample)];
    case 'number':
      return spell([...wrongTypesOf.number, ...badNumbers, ...(isCoerced(field) ? [] : ['1000000000'])]);
    case 'truth':
      return spell(wrongTypesOf.truth);
    case 'choice':
      return spell([...wrongTypesOf.choice, '99', '-1', '2147483648', '"99"']);
    case 'bytes':
      return [...spell(wrongTypesOf.bytes), { what: '100 kB', bytes: Buffer.from(`"${large}"`), isTooLarge: true }];
    case 'duration':
      return spell([...wrongTypesOf.duration, ...badDurations.map((each) => JSON.stringify(each))]);
    case 'map':
      return spell([...wrongTypesOf.map, ...controls.map((each) => `{"a":"${escaped(each)}"}`)]);
    default:
      return spell(wrongTypesOf[kindOf(field)]);
  }
}

/** A size above the maximum is the maximum. */
function isCoerced({ name }: DescField): boolean {
  return name === 'page_size';
}

function spell(values: readonly string[]): Bad[] {
  return values.map((each) => ({ what: each.slice(0, 60), bytes: Buffer.from(each) }));
}

function badTexts(field: DescField, sample: string): Bad[] {
  const escapes = [...refusedIn(field).map(escaped), '\\ud800', '\\udc00', '\\ud800\\ud800'];
  const raw = Object.entries({ ...notText, 'a raw newline': [0x0a] });
  return [
    ...spell(escapes.flatMap((each) => [`"${sample}${each}"`, `"${each}${sample}"`])),
    ...raw.map(([what, bytes]) => ({
      what,
      bytes: Buffer.concat([Buffer.from(`"${sample}`), Buffer.from(bytes), Buffer.from('"')]),
    })),
    ...(isUuid(field) ? spell(uuids.map((each) => JSON.stringify(each))) : []),
    { what: '100 kB', bytes: Buffer.from(`"${large}"`), isTooLarge: true },
  ];
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Every bad value of a field, in protobuf. In a message the last value of a field counts. */
export function badProtobuf(field: DescField, sample: string): Bad[] {
  const tag = (wireType: WireType) => new BinaryWriter().tag(field.number, wireType);
  const encode = (write: (to: BinaryWriter) => BinaryWriter, wireType: WireType) =>
    Buffer.from(write(tag(wireType)).finish());
  const bytes = (value: Uint8Array) => encode((to) => to.bytes(value), WireType.LengthDelimited);
  const always = [
    { what: 'a wire type that does not exist', bytes: Buffer.of((field.number << 3) | 6) },
    { what: 'half a tag', bytes: Buffer.of(0x80) },
    {
      what: 'a number of eleven bytes',
      bytes: Buffer.concat([encode((to) => to, WireType.Varint), Buffer.alloc(11, 0xff)]),
    },
  ];
  const cutShort = encode((to) => to.uint32(1000), WireType.LengthDelimited);
  switch (kindOf(field)) {
    case 'text':
      return [
        ...always,
        { what: 'a text that ends too soon', bytes: Buffer.concat([cutShort, Buffer.from(canary)]) },
        ...refusedIn(field).map((each) => ({ what: escaped(each), bytes: bytes(Buffer.from(sample + each)) })),
        ...Object.entries(notText).map(([what, wrong]) => ({
          what,
          bytes: bytes(Buffer.from([...Buffer.from(sample), ...wrong])),
        })),
        ...(isUuid(field) ? uuids.map((each) => ({ what: each, bytes: bytes(Buffer.from(each)) })) : []),
        { what: '100 kB', bytes: bytes(Buffer.from(large)), isTooLarge: true },
      ];
    case 'bytes':
      return [
        ...always,
        { what: 'bytes that end too soon', bytes: Buffer.concat([cutShort, Buffer.from(canary)]) },
        { what: '100 kB', bytes: bytes(Buffer.from(large)), isTooLarge: true },
      ];
    case 'number':
      return [
        ...always,
        ...[-1, -(2 ** 31), ...(isCoerced(field) ? [] : [2 ** 31 - 1])].map((each) => ({
          what: `${each}`,
          bytes: encode((to) => to.int32(each), WireType.Varint),
        })),
      ];
    case 'choice':
      return [
        ...always,
        ...[99, -1, 2 ** 31 - 1].map((each) => ({
          what: `${each}`,
          bytes: encode((to) => to.int32(each), WireType.Varint),
        })),
      ];
    case 'duration':
      return [
        ...always,
        ...[-1n, 2n ** 62n, -(2n ** 63n)].map((each) => ({
          what: `${each} s`,
          bytes: bytes(new BinaryWriter().tag(1, WireType.Varint).int64(each).finish()),
        })),
      ];
    case 'time':
      return [
        ...always,
        ...[2n ** 62n, -(2n ** 63n)].map((each) => ({
          what: `${each} s`,
          bytes: bytes(new BinaryWriter().tag(1, WireType.Varint).int64(each).finish()),
        })),
      ];
    default:
      return always;
  }
}

type Kind = keyof typeof wrongTypesOf;

/** Throws for a field of a kind without bad values in this file. */
function kindOf(field: DescField): Kind {
  if (field.fieldKind === 'enum') return 'choice';
  if (field.fieldKind === 'message' && field.message.typeName === DurationSchema.typeName) return 'duration';
  if (field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING) return 'text';
  if (field.fieldKind === 'scalar' && field.scalar === ScalarType.BYTES) return 'bytes';
  if (field.fieldKind === 'scalar' && field.scalar === ScalarType.BOOL) return 'truth';
  if (field.fieldKind === 'scalar' && field.scalar === ScalarType.INT32) return 'number';
  if (field.fieldKind === 'message' && field.message.typeName === TimestampSchema.typeName) return 'time';
  if (field.fieldKind === 'message' && field.message.typeName === StructSchema.typeName) return 'map';
  if (field.fieldKind === 'message') return 'record';
  if (field.fieldKind === 'list') return 'list';
  throw new Error(`malformed-values.ts has no bad values of ${field}`);
}

function isUuid(field: DescField): boolean {
  const others = ['webhook_id', 'attempt_id', 'actor_id', 'entity_id', 'fingerprint_id'];
  return field.name.endsWith('_id') && !others.includes(field.name);
}

/** Marks of writing direction at the ends of a name are trimmed, not refused: see names.test.ts. */
const trimmed = ['\u061c', '\u200e', '\u200f'];

function refusedIn({ name }: DescField): string[] {
  if (name === 'name') return [...controls, ...unseen.filter((each) => !trimmed.includes(each))];
  // Their white space is trimmed at the ends, where the bad characters are put.
  if (name.startsWith('email')) return [...controls, ...unseen].filter((each) => each.trim() !== '');
  return name.includes('password') ? controls : [...controls, ...unseen];
}
