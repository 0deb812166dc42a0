import type { IncomingMessage } from 'node:http';
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { lowerAscii } from '../../text/email-address.ts';
import { readBody } from '../request-body.ts';
import { type AuthError, invalid } from './auth-error.ts';

const largestBody = 1024 * 1024;

/**
 * The body of a request. Members that nothing reads are ignored, and null is the same as no member: the published clients
 * send both.
 */
export class JsonBody {
  readonly #members: JsonObject;

  constructor(members: JsonObject) {
    this.#members = members;
  }

  /** Empty if the member is missing. */
  text(name: string): string {
    return this.#member(name, '', (value) => typeof value === 'string');
  }

  /** An address for a user, in lower case. Supabase Auth stores addresses so, and the published clients send them so. */
  address(name: string): string {
    return lowerAscii(this.text(name));
  }

  flag(name: string): boolean | undefined {
    return this.#member<boolean | undefined>(name, undefined, (value) => typeof value === 'boolean');
  }

  object(name: string): JsonObject | undefined {
    return this.#member<JsonObject | undefined>(name, undefined, isObject);
  }

  /** An object whose members are read. */
  member(name: string): JsonBody | undefined {
    const members = this.object(name);
    return members && new JsonBody(members);
  }

  #member<T>(name: string, otherwise: T, isOfType: (value: JsonValue) => boolean): T {
    const value = this.#members[name] ?? null;
    if (value === null) return otherwise;
    if (!isOfType(value)) throw malformed(`${name} has the wrong type`);
    return value as T;
  }
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(detail: string): AuthError {
  return invalid(`Could not parse request body as JSON: ${detail}`, 'bad_json');
}

/**
 * Reads the body as JSON, or as a form of texts. No body is an empty object, also with the content type of JSON. Throws
 * REQUEST_TOO_LARGE, and bad_json without repeating what was sent.
 */
export async function readJson(req: IncomingMessage): Promise<JsonBody> {
  const text = (await readBody(req, largestBody)).toString();
  if (text.trim() === '') return new JsonBody({});
  if (/^application\/x-www-form-urlencoded\b/i.test(req.headers['content-type'] ?? ''))
    return new JsonBody(Object.fromEntries(new URLSearchParams(text)));
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch {
    throw malformed('it is not JSON');
  }
  if (!isObject(value)) throw malformed('it is not an object');
  return new JsonBody(value);
}
