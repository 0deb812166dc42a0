import type { OutgoingHttpHeaders } from 'node:http';
import { type Message, toBinary, toJsonString } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import { mergeNonProtocolHeaders } from '@connectrpc/connect/protocol';
import { codeToHttpStatus, errorToJson } from '@connectrpc/connect/protocol-connect';
import { connectErrorOf } from '../rpc/connect-error.ts';
import type { UnarySpec } from '../rpc/unary-chain.ts';
import type { Reply } from './reply.ts';
import type { JsonRules } from './request-message.ts';

type Sending = Pick<HandlerContext, 'responseHeader' | 'responseTrailer'>;

/** How messages are written in JSON. */
export function jsonOptionsOf({ registry }: Pick<JsonRules, 'registry'>) {
  // False, 0 and empty values are shown: a client without the proto cannot know them.
  return { alwaysEmitImplicit: true, ...(registry && { registry }) };
}

/** The response with the message of a call. */
export function success(
  { method }: UnarySpec,
  message: Message,
  context: Sending,
  { isJson }: { readonly isJson: boolean },
  rules: JsonRules,
): Reply {
  const headers = sentHeaders(context);
  headers['content-type'] = isJson ? 'application/json' : 'application/proto';
  const body = isJson ? toJsonString(method.output, message, jsonOptionsOf(rules)) : toBinary(method.output, message);
  return { status: 200, headers, body };
}

/** The response with the error of a call, in JSON whatever the client sent. */
export function failure(thrown: unknown, context: Sending, rules: JsonRules): Reply {
  const error = connectErrorOf(thrown);
  mergeNonProtocolHeaders(context.responseHeader, error.metadata);
  const headers = sentHeaders(context);
  headers['content-type'] = 'application/json';
  const body = JSON.stringify(errorToJson(error, jsonOptionsOf(rules)));
  return { status: codeToHttpStatus(error.code), headers, body };
}

/** Trailers are headers with a prefix in the Connect protocol. */
function sentHeaders({ responseHeader, responseTrailer }: Sending): OutgoingHttpHeaders {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of responseHeader) add(headers, name, value);
  for (const [name, value] of responseTrailer) add(headers, `trailer-${name}`, value);
  return headers;
}

/** Set-Cookie is the only name that may come twice. */
function add(headers: Record<string, string | string[]>, name: string, value: string): void {
  const before = headers[name];
  headers[name] = before === undefined ? value : [before, value].flat();
}
