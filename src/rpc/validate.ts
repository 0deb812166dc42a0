import { create, type DescMessage, type Message } from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { createValidator } from '@bufbuild/protovalidate';
import type { Interceptor } from '@connectrpc/connect';
import { type FieldViolation, Refusal } from '../errors.ts';

const validator = createValidator();

/**
 * Checks the request against the rules in its proto, and every string in it for characters that have no business there.
 * Throws INVALID_ARGUMENT with the fields that are wrong; never with what they held.
 */
export function validate(): Interceptor {
  return (next) => async (req) => {
    if (!req.stream) check(req.method.input, req.message);
    return next(req);
  };
}

/** Compiles the rules of requests, which takes tens of milliseconds, before the first call has to wait for it. */
export function prepareRules(requests: readonly DescMessage[]): void {
  for (const each of requests) validator.validate(each, create(each));
}

function check(schema: DescMessage, message: Message): void {
  const fields = [...strangeStrings(reflect(schema, message), '')];
  if (fields.length === 0) {
    const result = validator.validate(schema, message);
    if (result.kind === 'valid') return;
    if (result.kind === 'error') throw result.error;
    for (const { field, message: description } of result.violations)
      fields.push({ field: field.map((each) => ('name' in each ? each.name : '')).join('.'), description });
  }
  throw new Refusal('INVALID_ARGUMENT', { fields });
}

/**
 * C0 and C1 controls, lone surrogates and U+FFFD, the mark of bytes that were no text: two different wrong byte strings
 * would otherwise be one password, and PostgreSQL cannot store a NUL.
 */
const strange = /\p{Cc}|\p{Cs}|\ufffd/u;

function* strangeStrings(message: ReflectMessage, path: string): Generator<FieldViolation> {
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    const here = path + field.name;
    const value: unknown = message.get(field);
    if (typeof value === 'string' && strange.test(value))
      yield { field: here, description: 'must be text without control characters' };
    else if (field.fieldKind === 'message') yield* strangeStrings(value as ReflectMessage, `${here}.`);
  }
}
