import type { ListUsersRequest } from '../../gen/gatehouse/v1/admin_pb.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { Refusal } from '../errors.ts';
import { autocommit, projectOf } from '../rpc/context.ts';
import { lowerAscii } from '../text/email-address.ts';
import { emailKey } from '../user/email.ts';
import { identitiesByUser } from '../user/identity-message.ts';
import { systemRoleOf } from '../user/message.ts';
import { findByEmail, userOf } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { managedUserToMessage } from './message.ts';
import { timeRangeOf } from './time-range.ts';
import {
  afterPrefix,
  countUsers,
  findUsers,
  type OrderName,
  type PageOfUsers,
  type Position,
  type UserFilter,
  type UserOrder,
  type UserPage,
} from './user-order.ts';

const sizes = { usual: 50, most: 200 };

export function listUsers({ now, paging }: AdminDeps): AdminMethods['listUsers'] {
  return async (request, context) => {
    const at = now();
    const { after, limit, tokenFor } = paging.open(context, request, sizes);
    const position = after ? readPosition(after) : undefined;
    const page = { projectId: projectOf(context), after: position, limit, now: at };
    const order = orderOf(request);
    const filter = filterOf(request);
    const { rows, next } = request.email
      ? await findWithEmail(autocommit(context), request, filter, page)
      : await findBehind(autocommit(context), request.skip, order, filter, page);
    const totalSize = request.count ? await countUsers(autocommit(context), page.projectId) : 0;
    const identities = await identitiesByUser(autocommit(context), rows);
    return {
      totalSize: BigInt(totalSize),
      users: rows.map((row) => ({
        ...managedUserToMessage(userOf(row), at),
        identities: identities.get(row.id) ?? [],
      })),
      nextPageToken: next ? tokenFor(JSON.stringify(next)) : '',
    };
  };
}

const mostSkippedAtOnce = 1000;

/** A page behind skipped users. They are walked through: with an unknown offset PostgreSQL plans to read all users. */
async function findBehind(
  on: Autocommit,
  skip: number,
  order: UserOrder,
  filter: UserFilter,
  page: PageOfUsers,
): Promise<UserPage> {
  let [left, { after }] = [skip, page];
  while (left > 0) {
    const skipped = await findUsers(on, order, filter, { ...page, after, limit: Math.min(left, mostSkippedAtOnce) });
    if (!skipped.next) return { rows: [], next: undefined };
    left -= skipped.rows.length;
    after = skipped.next;
  }
  return findUsers(on, order, filter, { ...page, after });
}

/** Of a token that only this method can have written. */
function readPosition(text: string): Position {
  return JSON.parse(text) as Position;
}

/** A prefix and a time of creation imply an order, since each is looked up in the index of one order only. */
function orderOf({ orderBy, emailPrefix, namePrefix, startTime, endTime }: ListUsersRequest): UserOrder {
  const [requested = '', direction] = orderBy.split(' ');
  const implied = [
    ...(emailPrefix ? [{ field: 'email_prefix', name: 'address' }] : []),
    ...(namePrefix ? [{ field: 'name_prefix', name: 'name' }] : []),
    ...(startTime || endTime ? [{ field: startTime ? 'start_time' : 'end_time', name: 'create_time' }] : []),
  ];
  const [first, second] = implied;
  if (second) refuse(second.field, `must not be given together with ${first!.field}`);
  if (first && requested && requested !== first.name)
    refuse('order_by', `must be ${first.name} or empty with ${first.field}`);
  return { name: (first?.name ?? (requested || 'create_time')) as OrderName, isDescending: direction === 'desc' };
}

function refuse(field: string, description: string): never {
  throw new Refusal('INVALID_ARGUMENT', { fields: [{ field, description }] });
}

function filterOf(request: ListUsersRequest): UserFilter {
  const { emailPrefix, namePrefix, role, banned } = request;
  const prefix = emailPrefix ? emailKey(emailPrefix) : namePrefix.trim();
  const { from, until } = timeRangeOf(request);
  return {
    role: role ? systemRoleOf(role) : undefined,
    banned,
    from: prefix || from?.toISOString(),
    until: prefix ? afterPrefix(prefix) : until?.toISOString(),
  };
}

/** The user with the address, unless the other filters exclude them. */
async function findWithEmail(
  on: Autocommit,
  request: ListUsersRequest,
  { role, banned }: UserFilter,
  { projectId, now }: { projectId: string; now: Date },
): Promise<UserPage> {
  const row = await findByEmail(on, projectId, request.email);
  if (!row) return { rows: [], next: undefined };
  const user = userOf(row);
  const { from, until } = timeRangeOf(request);
  const isListed =
    user.emailKey!.startsWith(emailKey(request.emailPrefix)) &&
    lowerAscii(user.name).startsWith(lowerAscii(request.namePrefix.trim())) &&
    (!from || user.createdAt >= from) &&
    (!until || user.createdAt < until) &&
    (role === undefined || user.systemRole === role) &&
    (banned === undefined || user.isBanned(now) === banned);
  return { rows: isListed ? [row] : [], next: undefined };
}
