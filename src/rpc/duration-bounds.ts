import { type DescField, type DescMessage, getOption, hasOption, type Message } from '@bufbuild/protobuf';
import { type Duration, durationMs } from '@bufbuild/protobuf/wkt';
import { field as fieldRules } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js';

interface Bounds {
  readonly localName: string;
  /** Milliseconds. */
  readonly least: number;
  readonly most: number;
}

const known = new WeakMap<DescMessage, readonly Bounds[]>();

/**
 * The message without the durations that are within their bounds, for protovalidate to check the rest. It checks a
 * duration with CEL, which costs half as much as an introspection.
 */
export function setAsideDurations(schema: DescMessage, message: Message): Message {
  if (!known.has(schema)) known.set(schema, schema.fields.flatMap(boundsOf));
  let rest = message;
  for (const bounds of known.get(schema)!) {
    const duration = (message as unknown as Record<string, Duration | undefined>)[bounds.localName];
    if (duration && isWithin(duration, bounds)) rest = { ...rest, [bounds.localName]: undefined };
  }
  return rest;
}

/** The bounds of a duration field with two inclusive bounds and no other rule. */
function boundsOf(field: DescField): Bounds[] {
  if (field.message?.typeName !== 'google.protobuf.Duration' || field.fieldKind !== 'message') return [];
  const rules = hasOption(field, fieldRules) ? getOption(field, fieldRules) : undefined;
  if (rules?.type.case !== 'duration' || rules.required || rules.cel.length > 0) return [];
  const { greaterThan, lessThan, const: only, in: some, notIn } = rules.type.value;
  if (greaterThan.case !== 'gte' || lessThan.case !== 'lte' || only || some.length + notIn.length > 0) return [];
  return [{ localName: field.localName, least: durationMs(greaterThan.value), most: durationMs(lessThan.value) }];
}

function isWithin(duration: Duration, { least, most }: Bounds): boolean {
  // Seconds and nanoseconds of different signs, or too many nanoseconds, are an invalid duration.
  if (duration.seconds < 0n || duration.nanos < 0 || duration.nanos > 999_999_999) return false;
  const length = durationMs(duration);
  return length > least && length < most;
}
