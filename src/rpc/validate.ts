import { type DescField, type DescMessage, isMessage, type Message } from '@bufbuild/protobuf';
import { StructSchema } from '@bufbuild/protobuf/wkt';
import type { Interceptor } from '@connectrpc/connect';
import { type FieldViolation, Refusal } from '../errors.ts';
import { unseen } from '../text/invisible-characters.ts';
import { openContractRules } from './contract-rules.ts';
import { keepsPlainRules } from './plain-rules.ts';
import { trimText } from './trim-text.ts';
import { describeViolation } from './violation-text.ts';

/**
 * Checks the request against the rules in its proto, and every string in it for forbidden characters. Throws
 * INVALID_ARGUMENT with the invalid fields, never with their values.
 */
export function validate(): Interceptor {
  return (next) => (req) => {
    if (req.stream) return next({ ...req, message: validated(req.method.input, req.message) });
    trimText(req.method.input, req.message);
    if (isPlainAndValid(req.method.input, req.message)) return next(req);
    return check(req.method.input, req.message).then(() => next(req));
  };
}

async function* validated(schema: DescMessage, messages: AsyncIterable<Message>): AsyncGenerator<Message> {
  for await (const message of messages) {
    trimText(schema, message);
    if (!isPlainAndValid(schema, message)) await check(schema, message);
    yield message;
  }
}

function isPlainAndValid(schema: DescMessage, message: Message): boolean {
  return forbiddenTextIn(schema, message).length === 0 && keepsPlainRules(schema, message);
}

async function check(schema: DescMessage, message: Message): Promise<void> {
  const fields = forbiddenTextIn(schema, message);
  if (fields.length === 0) {
    const validator = await openContractRules();
    const result = validator.validate(schema, message);
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
 * C0 and C1 controls, lone surrogates, and U+FFFD, which replaces bytes that are not UTF-8: two different invalid byte
 * strings would otherwise be the same password. PostgreSQL cannot store a NUL.
 */
const text: Rule = { refuses: /\p{Cc}|\p{Cs}|\ufffd/u, description: 'must be text without control characters' };

/** For text that is shown to other people, or compared with text that somebody has read. */
const shownText: Rule = {
  refuses: new RegExp(`${text.refuses.source}|${unseen.source}`, 'u'),
  description: 'must be text without control characters and characters that nobody sees',
};

/** A password may contain all that a user types, and metadata all that an application stores. */
function ruleOf({ name, message }: DescField): Rule {
  return name.includes('password') || message?.typeName === StructSchema.typeName ? text : shownText;
}

interface Field {
  readonly field: DescField;
  readonly place: Place;
}

// The messages of the contract are few, and every call looks through one.
const fieldsOf = new WeakMap<DescMessage, readonly Field[]>();

function fieldsWithText(schema: DescMessage): readonly Field[] {
  const known = fieldsOf.get(schema);
  if (known) return known;
  const fields = schema.fields.map((field) => {
    return { field, place: { schema: field.message, path: field.name, rule: ruleOf(field) } };
  });
  fieldsOf.set(schema, fields);
  return fields;
}

function forbiddenTextIn(schema: DescMessage, message: Message): FieldViolation[] {
  const found: FieldViolation[] = [];
  findForbiddenText(schema, message, '', found);
  return found;
}

// Reads the properties directly: protobuf's reflection costs as much as the rest of the check.
function findForbiddenText(schema: DescMessage, message: Message, path: string, found: FieldViolation[]): void {
  for (const { field, place } of fieldsWithText(schema)) {
    const value = fieldValue(field, message);
    if (value !== undefined && value !== '')
      lookInto(value, path === '' ? place : { ...place, path: path + place.path }, found);
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

// As protobuf parsers have it. `/auth/v1` calls the methods without one.
const mostLevels = 100;

/** Looks into a scalar, a message, a list, or a map or a Struct, whose keys are texts as well. */
function lookInto(value: unknown, place: Place, found: FieldViolation[], levels = mostLevels): void {
  if (typeof value === 'string') checkText(value, place, found);
  else if (typeof value === 'number') checkNumber(value, place, found);
  else if (Array.isArray(value)) lookIntoEach(value, place, found, levels);
  else if (hasMessage(place, value)) findForbiddenText(place.schema!, value, `${place.path}.`, found);
  else if (isMap(value)) lookIntoEach(Object.entries(value).flat(), place, found, levels);
}

/** Goes no deeper than `levels`: the client chose the values, and the stack is limited. */
function lookIntoEach(values: readonly unknown[], place: Place, found: FieldViolation[], levels: number): void {
  if (levels === 0) {
    found.push({ field: place.path, description: `must be nested less than ${mostLevels} levels deep` });
    return;
  }
  for (const each of values) lookInto(each, place, found, levels - 1);
}

/** A Struct may hold NaN in protobuf, and infinity in JSON, as 1e400. No response could hold them. */
function checkNumber(value: number, { path }: Place, found: FieldViolation[]): void {
  if (!Number.isFinite(value)) found.push({ field: path, description: 'must not hold NaN or an infinite number' });
}

function checkText(value: string, { path, rule }: Place, found: FieldViolation[]): void {
  if (rule.refuses.test(value)) found.push({ field: path, description: rule.description });
}

/** A Struct is a plain object, in which `$typeName` is a key like any other and must not hide what stands beside it. */
function hasMessage({ schema }: Place, value: unknown): value is Message {
  return schema !== undefined && schema.typeName !== StructSchema.typeName && isMessage(value, schema);
}

function isMap(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
}
