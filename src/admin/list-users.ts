import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { ListUsersRequest } from '../../gen/gatehouse/v1/admin_pb.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { autocommit, projectOf, reads } from '../rpc/context.ts';
import type { Page } from '../rpc/paging.ts';
import { emailKey } from '../user/email.ts';
import { findByEmail, mayActAt, User, type UserRow, userColumns, userOf } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { managedUserToMessage } from './message.ts';

const sizes = { usual: 50, most: 200 };

export function listUsers({ now, paging }: AdminDeps): AdminMethods['listUsers'] {
  return async (request, context) => {
    const at = now();
    const key = request.emailPrefix ? 'emailKey' : 'id';
    const { rows, nextPageToken } = await paging.pageOf(context, request, { key, sizes }, (page) =>
      find(context, request, page, at),
    );
    return { users: rows.map((each) => managedUserToMessage(each, at)), nextPageToken };
  };
}

function find(context: HandlerContext, request: ListUsersRequest, page: Page, now: Date): Promise<User[]> {
  const projectId = projectOf(context);
  if (request.email) return findWithEmail(autocommit(context), projectId, request, now);
  if (request.emailPrefix) return findWithPrefix(autocommit(context), projectId, request, { ...page, now });
  return findById(reads(context), projectId, request, { ...page, now });
}

/** The user with the address, unless the other filters exclude them. */
async function findWithEmail(
  on: Autocommit,
  projectId: string,
  { email, emailPrefix, banned }: ListUsersRequest,
  now: Date,
): Promise<User[]> {
  const found = await findByEmail(on, projectId, email);
  const user = found && userOf(found);
  const isListed =
    user &&
    user.emailKey!.startsWith(prefixKey(emailPrefix)) &&
    (banned === undefined || user.isBanned(now) === banned);
  return isListed ? [user] : [];
}

interface PrefixRange extends Page {
  readonly projectId: string;
  readonly prefix: string;
  readonly end: string;
  /** Undefined for all users. */
  readonly banned: boolean | undefined;
  readonly now: Date;
}

// Sorted by bytes, as the index is.
const withPrefix = statement<UserRow, PrefixRange>(
  'users_by_prefix',
  `select ${userColumns} from users u
   where u.project_id = :projectId and u.deleted_at is null and u.email_key ~>=~ :prefix and u.email_key ~<~ :end
     and (:after::text is null or u.email_key ~>~ :after)
     and (:banned::boolean is null
       or :banned <> ${mayActAt('u')})
   order by u.email_key using ~<~ limit :limit`,
);

async function findWithPrefix(
  on: Autocommit,
  projectId: string,
  { emailPrefix, banned }: ListUsersRequest,
  page: Page & { now: Date },
): Promise<User[]> {
  const prefix = prefixKey(emailPrefix);
  // The end has the largest character there is: no address with the prefix is behind it.
  const rows = await withPrefix(on, { ...page, projectId, prefix, end: `${prefix}\u{10ffff}`, banned });
  return rows.map(userOf);
}

function findById(
  em: EntityManager,
  projectId: string,
  { banned }: ListUsersRequest,
  { after, limit, now }: Page & { now: Date },
): Promise<User[]> {
  return em.find(
    User,
    {
      projectId,
      deletedAt: null,
      ...(after && { id: { $gt: after } }),
      ...(banned === true && { bannedUntil: { $gt: now } }),
      ...(banned === false && { $or: [{ bannedUntil: null }, { bannedUntil: { $lte: now } }] }),
    },
    { orderBy: { id: 1 }, limit },
  );
}

/** A prefix spelled as email keys are, as far as it goes. */
function prefixKey(prefix: string): string {
  return prefix.includes('@') ? emailKey(prefix) : prefix.trim().normalize('NFC').toLowerCase();
}
