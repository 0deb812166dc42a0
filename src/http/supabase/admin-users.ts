import type { JsonObject } from '@bufbuild/protobuf';
import type { User } from '../../../gen/gatehouse/v1/user_pb.ts';
import { type Answer, type Asked, withBearer } from './asked.ts';
import { invalid } from './auth-error.ts';
import { banOf } from './ban-duration.ts';
import { isSecondFactor, userWithFactors } from './factor-json.ts';
import { pageOf, pagingHeaders } from './page-numbers.ts';
import { pathId } from './path-id.ts';
import { phoneIsOff } from './phone.ts';
import { userJson } from './user-json.ts';

/** The user in the path. */
export function userIdOf(asked: Asked): string {
  return pathId(asked, 'id', 'user_id');
}

/** The most that ListUsers returns at once. */
const mostAtOnce = 200;

/** GET /admin/users, newest first. */
export async function listUsers(asked: Asked): Promise<Answer> {
  const { admin, query } = asked;
  const bearer = withBearer(asked);
  const { page, perPage } = pageOf(query);
  const prefix = query.get('filter');
  const order = prefix ? { emailPrefix: prefix } : { orderBy: 'create_time desc' };
  const users: User[] = [];
  let [total, isLast] = [0, false];
  for (let wanted = perPage; wanted > 0 && !isLast; wanted = perPage - users.length) {
    const [skip, isFirst] = [(page - 1) * perPage + users.length, users.length === 0];
    const found = await admin.listUsers(
      { ...order, pageSize: Math.min(wanted, mostAtOnce), skip, count: isFirst },
      bearer,
    );
    if (isFirst) total = Number(found.totalSize);
    users.push(...found.users);
    isLast = found.nextPageToken === '' || found.users.length === 0;
  }
  const headers = pagingHeaders('/admin/users', { page, perPage, total });
  return { body: { users: users.map(userJson), aud: 'authenticated' }, headers };
}

/** GET /admin/users/{id}. */
export async function showUser(asked: Asked): Promise<Answer> {
  const bearer = withBearer(asked);
  const userId = userIdOf(asked);
  const { user } = await asked.admin.getUser({ userId }, bearer);
  const { factors } = await asked.admin.listUserFactors({ userId }, bearer);
  return { body: userWithFactors(user!, factors.filter(isSecondFactor)) };
}

/** POST /admin/users. */
export async function createUser(asked: Asked): Promise<Answer> {
  const { admin, body } = asked;
  const bearer = withBearer(asked);
  const email = body.address('email');
  if (!email && !body.text('phone')) throw invalid('Cannot create a user without either an email or phone');
  if (body.text('phone')) throw phoneIsOff(422);
  if (body.text('id')) throw invalid('The id of a user cannot be chosen; an import keeps ids');
  const ban = banOf(body.text('ban_duration'));
  const { user } = await admin.createUser(
    {
      ...{ email, password: body.text('password'), passwordHash: body.text('password_hash') },
      ...{ emailVerified: body.flag('email_confirm') ?? false, ...metadataOf(asked) },
    },
    bearer,
  );
  if (!ban || ban === 'none') return { body: userJson(user!) };
  const banned = await admin.banUser({ userId: user!.id, duration: ban }, bearer);
  return { body: userJson(banned.user!) };
}

function metadataOf({ body }: Asked): { appMetadata?: JsonObject; userMetadata?: JsonObject } {
  const [appMetadata, userMetadata] = [body.object('app_metadata'), body.object('user_metadata')];
  return { ...(appMetadata && { appMetadata }), ...(userMetadata && { userMetadata }) };
}

/** PUT /admin/users/{id}. */
export async function changeUser(asked: Asked): Promise<Answer> {
  const { admin, body } = asked;
  const bearer = withBearer(asked);
  const userId = userIdOf(asked);
  if (body.text('phone')) throw phoneIsOff(422);
  const [email, isConfirmed] = [body.address('email'), body.flag('email_confirm')];
  const ban = banOf(body.text('ban_duration'));
  await admin.updateUser(
    {
      ...{ userId, password: body.text('password'), ...metadataOf(asked) },
      ...(email && { email }),
      ...(isConfirmed !== undefined && { emailVerified: isConfirmed }),
    },
    bearer,
  );
  if (ban === 'none') await admin.unbanUser({ userId }, bearer);
  else if (ban) await admin.banUser({ userId, duration: ban }, bearer);
  return showUser(asked);
}

/** DELETE /admin/users/{id}. The data of the user is deleted either way: `should_soft_delete` changes nothing. */
export async function removeUser(asked: Asked): Promise<Answer> {
  const bearer = withBearer(asked);
  await asked.admin.deleteUser({ userId: userIdOf(asked) }, bearer);
  return { body: {} };
}
