import { create, type DescField, type DescMessage, type Message } from '@bufbuild/protobuf';
import { createValidator } from '@bufbuild/protovalidate';
import type { Interceptor } from '@connectrpc/connect';
import { type FieldViolation, Refusal } from '../errors.ts';
import { setAsideDurations } from './duration-bounds.ts';

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
    for (const { field, message: description } of result.violations)
      fields.push({ field: field.flatMap((each) => ('name' in each ? each.name : [])).join('.'), description });
  }
  throw new Refusal('INVALID_ARGUMENT', { fields });
}

/**
 * C0 and C1 controls, lone surrogates and U+FFFD, the mark of bytes that were no text: two different wrong byte strings
 * would otherwise be one password, and PostgreSQL cannot store a NUL.
 */
const strange = /\p{Cc}|\p{Cs}|\ufffd/u;

// Walks the message itself: protobuf's reflection costs as much as the rest of the check.
function findStrangeStrings(schema: DescMessage, message: Message, path: string, found: FieldViolation[]): void {
  for (const field of schema.fields) {
    const value = fieldValue(field, message);
    if (value !== undefined) lookInto(value, field.message, path + field.name, found);
  }
}

function fieldValue({ localName, oneof }: DescField, message: Message): unknown {
  const properties = message as unknown as Record<string, unknown>;
  if (!oneof) return properties[localName];
  const chosen = properties[oneof.localName] as { case?: string; value?: unknown };
  return chosen.case === localName ? chosen.value : undefined;
}

/** Into a scalar, a message, a list, or a map or a Struct, whose keys are texts as well. */
function lookInto(value: unknown, schema: DescMessage | undefined, path: string, found: FieldViolation[]): void {
  if (typeof value === 'string') {
    if (strange.test(value)) found.push({ field: path, description: 'must be text without control characters' });
  } else if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
  else if (Array.isArray(value)) for (const each of value) lookInto(each, schema, path, found);
  else if ('$typeName' in value) findStrangeStrings(schema!, value as Message, `${path}.`, found);
  else
    for (const [key, each] of Object.entries(value)) {
      lookInto(key, undefined, path, found);
      lookInto(each, schema, path, found);
    }
}
