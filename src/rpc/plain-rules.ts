import { type DescField, type DescMessage, getOption, hasOption, type Message } from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import { type Duration, durationMs } from '@bufbuild/protobuf/wkt';
import {
  type DurationRules,
  type FieldRules,
  field as fieldRules,
  Ignore,
  message as messageRules,
  oneof as oneofRules,
  type StringRules,
  StringRulesSchema,
} from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js';

/** False may mean as well that the value breaks its rules as that they are not plain. */
type Check = (value: unknown) => boolean;

interface FieldCheck {
  readonly localName: string;
  readonly check: Check;
}

const known = new WeakMap<DescMessage, readonly FieldCheck[]>();

/**
 * Whether comparisons alone show that a message keeps its rules. False means that protovalidate has to decide. It takes a
 * message apart by reflection, which is a twentieth of an introspection, runs patterns in an RE2 written in JavaScript, and
 * checks a duration with CEL, which is half of one. Nearly all requests of hot methods are plain and valid.
 */
export function keepsPlainRules(schema: DescMessage, message: Message): boolean {
  const properties = message as unknown as Readonly<Record<string, unknown>>;
  return checksOf(schema).every(({ localName, check }) => check(properties[localName]));
}

function checksOf(schema: DescMessage): readonly FieldCheck[] {
  const before = known.get(schema);
  if (before) return before;
  const isPlain = !hasOption(schema, messageRules) && !schema.oneofs.some((each) => hasOption(each, oneofRules));
  const checks = isPlain ? schema.fields.flatMap(checkOf) : [{ localName: '$typeName', check: never }];
  known.set(schema, checks);
  return checks;
}

const never: Check = () => false;

/** Nothing for a field that may have any value. */
function checkOf(field: DescField): FieldCheck[] {
  const { localName, oneof } = field;
  const rules = hasOption(field, fieldRules) ? getOption(field, fieldRules) : undefined;
  const check = rules ? checkOfRules(field, rules) : checkOfKind(field);
  if (!check) return [];
  // The value of a oneof is a property of the oneof.
  return [oneof ? { localName: '$typeName', check: never } : { localName, check }];
}

function checkOfKind(field: DescField): Check | undefined {
  if (field.fieldKind === 'scalar' || field.fieldKind === 'enum') return undefined;
  if (field.fieldKind === 'message')
    return (value) => value === undefined || keepsPlainRules(field.message, value as Message);
  return field.message ? isEmpty : undefined;
}

function isEmpty(listOrMap: unknown): boolean {
  return Object.keys(listOrMap as object).length === 0;
}

function checkOfRules(field: DescField, { type, required, ignore, cel, celExpression }: FieldRules): Check {
  if (required || ignore !== Ignore.UNSPECIFIED || cel.length + celExpression.length > 0) return never;
  if (field.fieldKind === 'scalar' && type.case === 'string') return checkOfText(type.value);
  if (field.fieldKind === 'message' && type.case === 'duration') return checkOfDuration(type.value);
  return never;
}

const plainTextRules = ['min_len', 'max_len', 'max_bytes', 'uuid', 'pattern'];

/** RE2 and JavaScript read these alike: anchors, groups, counts and classes of ASCII characters. */
const portablePattern = /^[\w^$()?{},[\]-]*$/;

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function checkOfText(rules: StringRules): Check {
  const message = reflect(StringRulesSchema, rules);
  const isPlain = message.fields.every((each) => plainTextRules.includes(each.name) || !message.isSet(each));
  if (!isPlain || rules.$unknown || !portablePattern.test(rules.pattern)) return never;
  const has = (name: string) => message.isSet(StringRulesSchema.fields.find((each) => each.name === name)!);
  // A length counts code points, of two units at most, and bytes, of which a unit has three at most.
  const least = Number(rules.minLen) * 2 - 1;
  const mostBytes = has('max_bytes') ? Number(rules.maxBytes) / 3 : Infinity;
  const most = Math.min(mostBytes, has('max_len') ? Number(rules.maxLen) : Infinity);
  const forms = [...(has('uuid') ? [uuid] : []), ...(has('pattern') ? [new RegExp(rules.pattern)] : [])];
  return (value) => {
    if (typeof value !== 'string') return value === undefined;
    return value.length >= least && value.length <= most && forms.every((form) => form.test(value));
  };
}

/** Two inclusive bounds and no other rule. */
function checkOfDuration({ greaterThan, lessThan, const: only, in: some, notIn, $unknown }: DurationRules): Check {
  if (greaterThan.case !== 'gte' || lessThan.case !== 'lte') return never;
  if (only || some.length + notIn.length > 0 || $unknown) return never;
  const least = durationMs(greaterThan.value);
  const most = durationMs(lessThan.value);
  return (value) => value === undefined || isWithin(value as Duration, least, most);
}

function isWithin(duration: Duration, least: number, most: number): boolean {
  // Seconds and nanoseconds of different signs, or too many nanoseconds, are an invalid duration.
  if (duration.seconds < 0n || duration.nanos < 0 || duration.nanos > 999_999_999) return false;
  const length = durationMs(duration);
  // A bound itself goes to protovalidate: the milliseconds are rounded.
  return length > least && length < most;
}
