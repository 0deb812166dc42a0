import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { CeremonyFault, ensure } from './ceremony-fault.ts';
import { type ClientData, readClientData } from './client-data.ts';

/** A response to `navigator.credentials.create`, in the encodings of its JSON form. */
export interface Attestation {
  readonly id: string;
  readonly clientData: ClientData;
  readonly clientDataJSON: string;
  readonly attestationObject: Buffer;
  readonly transports: readonly string[];
}

/** A response to `navigator.credentials.get`. */
export interface Assertion {
  readonly id: string;
  readonly clientData: ClientData;
  readonly clientDataJSON: string;
  readonly authenticatorData: Buffer;
  readonly signature: string;
  readonly userHandle: string | undefined;
}

/** Of a decoded value. The longest are attestation objects with certificates, a few thousand bytes. */
const mostBytes = 16_384;
const mostTransports = 10;

/** Reads the JSON form of a response. Throws a CeremonyFault. */
export function readAttestation(json: JsonObject): Attestation {
  const { id, response } = readOuter(json);
  const clientDataJSON = textOf(response.clientDataJSON);
  return {
    id,
    clientData: readClientData(bytesOf(clientDataJSON)),
    clientDataJSON,
    attestationObject: bytesOf(textOf(response.attestationObject)),
    transports: transportsOf(response.transports),
  };
}

/** Reads the JSON form of a response. Throws a CeremonyFault. */
export function readAssertion(json: JsonObject): Assertion {
  const { id, response } = readOuter(json);
  const clientDataJSON = textOf(response.clientDataJSON);
  const { userHandle } = response;
  return {
    id,
    clientData: readClientData(bytesOf(clientDataJSON)),
    clientDataJSON,
    authenticatorData: bytesOf(textOf(response.authenticatorData)),
    signature: textOf(response.signature),
    userHandle: userHandle === undefined || userHandle === null ? undefined : textOf(userHandle),
  };
}

function readOuter({ id, rawId, type, response }: JsonObject): { id: string; response: JsonObject } {
  ensure(type === 'public-key' && id === rawId, 'encoding');
  ensure(typeof response === 'object' && response !== null && !Array.isArray(response), 'encoding');
  return { id: textOf(id), response: response as JsonObject };
}

/** Base64url without padding, of which each value has one spelling. */
function textOf(value: JsonValue | undefined): string {
  if (typeof value !== 'string' || value === '' || value.length > (mostBytes * 4) / 3)
    throw new CeremonyFault('encoding');
  ensure(bytesOf(value).toString('base64url') === value, 'encoding');
  return value;
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'base64url');
}

/** Hints that are returned to browsers. What is no name of a transport is left out. */
function transportsOf(value: JsonValue | undefined): string[] {
  const names = Array.isArray(value) ? value : [];
  const valid = names.filter((each): each is string => typeof each === 'string' && /^[a-z-]{1,32}$/.test(each));
  return [...new Set(valid)].slice(0, mostTransports);
}
