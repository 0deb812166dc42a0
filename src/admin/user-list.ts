import type { ServiceImpl } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { AdminService, ListUsersRequest } from '../../gen/gatehouse/v1/admin_pb.ts';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { statement } from '../database/statement.ts';
import { autocommit, projectOf, reads } from '../rpc/context.ts';
import { readPageToken, uuidPattern, writePageToken } from '../rpc/page-token.ts';
import { emailKey } from '../user/email.ts';
import { userToMessage } from '../user/message.ts';
import { findByEmail, User, userOf } from '../user/user.ts';

interface Page {
  readonly after: string | undefined;
  readonly limit: number;
}

// By the order of bytes, which is that of their index.
const byPrefix = statement<{ id: string }>(
  'users_by_prefix',
  `select id from users where project_id = $1 and deleted_at is null and email_key ~>=~ $2 and email_key ~<~ $3
     and ($4::text is null or email_key ~>~ $4) and ($5::boolean is null or (banned_until > $6) is true = $5)
   order by email_key using ~<~ limit $7`,
);

export function userListMethods({ now }: { now: Clock }) {
  return {
    async listUsers(request, context) {
      const { email, emailPrefix, banned, pageSize, pageToken } = request;
      const at = now();
      const projectId = projectOf(context);
      const filter = ['users', email, emailPrefix, banned];
      const pattern = emailPrefix ? /^[^\0]{1,320}$/ : uuidPattern;
      const [after] = pageToken ? readPageToken(pageToken, filter, [pattern]) : [];
      const limit = pageSize || 50;
      const found = email
        ? await withAddress(autocommit(context), projectId, request, at)
        : await find(
            { em: reads(context), on: autocommit(context) },
            projectId,
            request,
            { after, limit: limit + 1 },
            at,
          );
      const users = found.slice(0, limit);
      const last = users.at(-1);
      const next = found.length > limit && last ? writePageToken(filter, [emailPrefix ? last.emailKey! : last.id]) : '';
      return { users: users.map((each) => userToMessage(each, at)), nextPageToken: next };
    },
  } satisfies Partial<ServiceImpl<typeof AdminService>>;
}

async function withAddress(
  on: Autocommit,
  projectId: string,
  { email, emailPrefix, banned }: ListUsersRequest,
  now: Date,
): Promise<User[]> {
  const found = await findByEmail(on, projectId, email);
  const user = found && userOf(found);
  const fits =
    user &&
    user.emailKey!.startsWith(prefixKey(emailPrefix)) &&
    (banned === undefined || user.isBanned(now) === banned);
  return fits ? [user] : [];
}

async function find(
  { em, on }: { em: EntityManager; on: Autocommit },
  projectId: string,
  { emailPrefix, banned }: ListUsersRequest,
  { after, limit }: Page,
  now: Date,
): Promise<User[]> {
  if (emailPrefix) {
    const prefix = prefixKey(emailPrefix);
    // The largest character there is: nothing that begins alike comes after it.
    const values = [projectId, prefix, `${prefix}\u{10ffff}`, after ?? null, banned ?? null, now, limit];
    const ids = (await byPrefix(on, values)).map(({ id }) => id);
    const users = await em.find(User, { id: { $in: ids } });
    return ids.flatMap((id) => users.find((each) => each.id === id) ?? []);
  }
  const isBanned = { bannedUntil: { $gt: now } };
  return em.find(
    User,
    {
      projectId,
      deletedAt: null,
      ...(after && { id: { $gt: after } }),
      ...(banned === true && isBanned),
      ...(banned === false && { $or: [{ bannedUntil: null }, { bannedUntil: { $lte: now } }] }),
    },
    { orderBy: { id: 1 }, limit },
  );
}

/** A prefix spelled as keys are, as far as it goes. */
function prefixKey(prefix: string): string {
  return prefix.includes('@') ? emailKey(prefix) : prefix.trim().normalize('NFC').toLowerCase();
}
