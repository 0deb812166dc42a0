import { clone, type DescMethod, type Message, toBinary } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { Refusal } from '../errors.ts';
import { kCaller, projectOf } from './context.ts';

const purpose = 'page token';
const macBytes = 32;

/** What every request of a list has, next to the fields that filter it. */
export interface ListRequest extends Message {
  readonly pageSize: number;
  readonly pageToken: string;
}

/**
 * Page tokens: the position of a page's last item, and a MAC over it and the list it is a position in. The list is the
 * method, the project, the caller, and all fields of the request but those about pages, so a token is of no use for any
 * other list, and only the service can create one. A position is not encrypted: it is an id, a time or an address of an
 * item that the caller may list.
 */
export class PageTokens {
  readonly #keys: MasterKeys;

  constructor(keys: MasterKeys) {
    this.#keys = keys;
  }

  write(context: HandlerContext, request: ListRequest, position: string): string {
    const mac = this.#keys.mac(purpose, boundTo(context, request, position));
    return Buffer.concat([mac, Buffer.from(position)]).toString('base64url');
  }

  /** The position that `write` was given for the same list. Throws PAGE_TOKEN_INVALID for any other token. */
  read(context: HandlerContext, request: ListRequest): string {
    const bytes = Buffer.from(request.pageToken, 'base64url');
    const [mac, position] = [bytes.subarray(0, macBytes), bytes.toString('utf8', macBytes)];
    const isWhole = mac.length === macBytes && bytes.toString('base64url') === request.pageToken;
    if (!isWhole || !this.#keys.isMac(purpose, boundTo(context, request, position), mac))
      throw new Refusal('PAGE_TOKEN_INVALID');
    return position;
  }
}

/** The position in a token that is not checked. */
export function positionIn(pageToken: string): string {
  return Buffer.from(pageToken, 'base64url').toString('utf8', macBytes);
}

function boundTo(context: HandlerContext, request: ListRequest, position: string): string {
  const { method } = context;
  const list = `${method.parent.typeName}/${method.name}`;
  return JSON.stringify([list, projectOf(context), callerName(context), filterOf(method, request), position]);
}

function callerName({ values }: HandlerContext): string {
  const caller = values.get(kCaller);
  if (!caller || caller instanceof Refusal) return '';
  return caller.kind === 'user' ? `user ${caller.userId}` : `service ${caller.name}`;
}

/** The whole request without its page, so that no list can forget a field. */
function filterOf({ input }: DescMethod, request: ListRequest): string {
  const filter = Object.assign(clone(input, request), { pageSize: 0, pageToken: '' });
  return Buffer.from(toBinary(input, filter, { writeUnknownFields: false })).toString('base64');
}
