import { create, type DescField, type DescMessage, type Message } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import { createValidator } from '@bufbuild/protovalidate';
import type { Interceptor } from '@connectrpc/connect';
import { type FieldViolation, Refusal } from '../errors.ts';
import { unseen } from '../text/invisible-characters.ts';
import { setAsideDurations } from './duration-bounds.ts';
import { describeViolation } from './violation-text.ts';

const validator = createValidator();

/**
 * Checks the request against the rules in its proto, and every string in it for characters that have no business there.
 * Throws INVALID_ARGUMENT with the fields that are wrong; never with what they held.
 */
export function validate(): Interceptor {
  return (next) => (req) => {
    if (!req.stream) check(req.method.input, req.message);
    return next(req);
  };
}

/** Compiles the rules of requests, which takes tens of milliseconds, before the first call has to wait for it. */
export function prepareRules(requests: readonly DescMessage[]): void {
  for (const each of requests) validator.validate(each, create(each));
}

function check(schema: DescMessage, message: Message): void {
  const fields: FieldViolation[] = [];
  findStrangeStrings(schema, message, '', fields);
  if (fields.length === 0) {
    const result = validator.validate(schema, setAsideDurations(schema, message));
    if (result.kind === 'valid') return;
    if (result.kind === 'error') throw result.error;
    for (const violation of result.violations) {
      const field = violation.field.flatMap((each) => ('name' in each ? each.name : [])).join('.');
      fields.push({ field, description: describeViolation(violation) });
    }
  }
  throw new Refusal('INVALID_ARGUMENT', { fields });
}

interface Rule {
  readonly refuses: RegExp;
  readonly description: string;
}

/**
 * C0 and C1 controls, lone surrogates and U+FFFD, the mark of bytes that were no text: two different wrong byte strings
 * would otherwise be one password, and PostgreSQL cannot store a NUL.
 */
const text: Rule = { refuses: /\p{Cc}|\p{Cs}|\ufffd/u, description: 'must be text without control characters' };

/** What is shown to others, or compared with what somebody has read. */
const shownText: Rule = {
  refuses: new RegExp(`${text.refuses.source}|${unseen.source}`, 'u'),
  description: 'must be text without control characters and characters that nobody sees',
};

/** A password may hold what its user types, and metadata are the business of applications. */
function ruleOf({ name, message }: DescField): Rule {
  return name.includes('password') || message?.typeName === StructSchema.typeName ? text : shownText;
}

// Walks the message itself: protobuf's reflection costs as much as the rest of the check.
function findStrangeStrings(schema: DescMessage, message: Message, path: string, found: FieldViolation[]): void {
  for (const field of schema.fields) {
    const value = fieldValue(field, message);
    const place = { schema: field.message, path: path + field.name, rule: ruleOf(field) };
    if (value !== undefined) lookInto(value, place, found);
  }
}

function fieldValue({ localName, oneof }: DescField, message: Message): unknown {
  const properties = message as unknown as Record<string, unknown>;
  if (!oneof) return properties[localName];
  const chosen = properties[oneof.localName] as { case?: string; value?: unknown };
  return chosen.case === localName ? chosen.value : undefined;
}

interface Place {
  readonly schema: DescMessage | undefined;
  readonly path: string;
  readonly rule: Rule;
}

/** Into a scalar, a message, a list, or a map or a Struct, whose keys are texts as well. */
function lookInto(value: unknown, place: Place, found: FieldViolation[]): void {
  const { schema, path, rule } = place;
  if (typeof value === 'string') {
    if (rule.refuses.test(value)) found.push({ field: path, description: rule.description });
  } else if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
  else if (Array.isArray(value)) for (const each of value) lookInto(each, place, found);
  else if ('$typeName' in value) findStrangeStrings(schema!, value as Message, `${path}.`, found);
  else
    for (const [key, each] of Object.entries(value)) {
      lookInto(key, { ...place, schema: undefined }, found);
      lookInto(each, place, found);
    }
}
