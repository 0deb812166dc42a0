import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService, ListUsersRequest } from '../../gen/gatehouse/v1/admin_pb.ts';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { Refusal } from '../errors.ts';
import { autocommit, projectOf } from '../rpc/context.ts';
import { readPageToken, uuidPattern, writePageToken } from '../rpc/page-token.ts';
import { emailKey } from '../user/email.ts';
import { userToMessage } from '../user/message.ts';
import { findByEmail, userOf } from '../user/user.ts';
import { readTime, timeOfPosition } from './audit-events.ts';
import {
  afterPrefix,
  listUsers,
  type OrderName,
  type UserFilter,
  type UserOrder,
  type UserPage,
} from './user-order.ts';

export function userListMethods({ now }: { now: Clock }) {
  return {
    async listUsers(request, context) {
      const at = now();
      const order = orderOf(request);
      const filter = filterOf(request);
      const bound = ['users', order.name, order.isDescending, request.email, filter];
      const { pageToken, pageSize } = request;
      const after = pageToken ? readPageToken(pageToken, bound, positionsOf[order.name]) : undefined;
      const page = { projectId: projectOf(context), after, limit: pageSize || 50, now: at };
      const on = autocommit(context);
      const { rows, next } = request.email
        ? await withAddress(on, request, filter, page)
        : await listUsers(on, order, filter, page);
      return {
        users: rows.map((row) => userToMessage(userOf(row), at)),
        nextPageToken: next ? writePageToken(bound, next) : '',
      };
    },
  } satisfies Partial<ServiceImpl<typeof AdminService>>;
}

const textOfPosition = /^[^\0]{0,320}$/u;

const positionsOf: Readonly<Record<OrderName, readonly Pick<RegExp, 'test'>[]>> = {
  address: [textOfPosition, uuidPattern],
  create_time: [timeOfPosition, uuidPattern],
  name: [textOfPosition, uuidPattern],
  role: [textOfPosition, timeOfPosition, uuidPattern],
};

/** A prefix and a time of creation bring their order along. Only one order has an index. */
function orderOf({ orderBy, emailPrefix, namePrefix, startTime, endTime }: ListUsersRequest): UserOrder {
  const [asked = '', direction] = orderBy.split(' ');
  const implied = [
    ...(emailPrefix ? [{ field: 'email_prefix', name: 'address' }] : []),
    ...(namePrefix ? [{ field: 'name_prefix', name: 'name' }] : []),
    ...(startTime || endTime ? [{ field: startTime ? 'start_time' : 'end_time', name: 'create_time' }] : []),
  ];
  const [first, second] = implied;
  if (second) refuse(second.field, `must not be given together with ${first!.field}`);
  if (first && asked && asked !== first.name) refuse('order_by', `must be ${first.name} or empty with ${first.field}`);
  return { name: (first?.name ?? (asked || 'create_time')) as OrderName, isDescending: direction === 'desc' };
}

function refuse(field: string, description: string): never {
  throw new Refusal('INVALID_ARGUMENT', { fields: [{ field, description }] });
}

function filterOf({ emailPrefix, namePrefix, startTime, endTime, role, banned }: ListUsersRequest): UserFilter {
  const prefix = emailPrefix ? prefixKey(emailPrefix) : namePrefix.trim();
  return {
    role: role || undefined,
    banned,
    from: prefix || readTime('start_time', startTime)?.toISOString(),
    until: prefix ? afterPrefix(prefix) : readTime('end_time', endTime)?.toISOString(),
  };
}

/** The user with the address, if the rest of the filter fits as well. */
async function withAddress(
  on: Autocommit,
  { email, emailPrefix, namePrefix, startTime, endTime }: ListUsersRequest,
  { role, banned }: UserFilter,
  { projectId, now }: { projectId: string; now: Date },
): Promise<UserPage> {
  const row = await findByEmail(on, projectId, email);
  if (!row) return { rows: [], next: undefined };
  const user = userOf(row);
  const fits =
    user.emailKey!.startsWith(prefixKey(emailPrefix)) &&
    asciiLowerCase(user.name).startsWith(asciiLowerCase(namePrefix.trim())) &&
    (!startTime || user.createdAt >= readTime('start_time', startTime)!) &&
    (!endTime || user.createdAt < readTime('end_time', endTime)!) &&
    (role === undefined || user.systemRole === role) &&
    (banned === undefined || user.isBanned(now) === banned);
  return { rows: fits ? [row] : [], next: undefined };
}

function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** A prefix spelled as keys are, as far as it goes. */
function prefixKey(prefix: string): string {
  return prefix.includes('@') ? emailKey(prefix) : prefix.trim().normalize('NFC').toLowerCase();
}
