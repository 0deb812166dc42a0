import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type Identity, IdentitySchema } from '../../gen/gatehouse/v1/user_pb.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { byEmail } from '../text/sign-in-providers.ts';
import { type IdentityRow, identitiesOf, identitiesOfAll } from './identity.ts';
import type { User } from './user.ts';

type Holder = Pick<User, 'id'> & { readonly providers: readonly string[] };

export function identityToMessage(identity: Omit<IdentityRow, 'projectId' | 'userId' | 'emailKey'>): Identity {
  const { id, provider, subject, email, emailVerified, name, username, pictureUrl } = identity;
  const { createdAt, lastSignInAt } = identity;
  return create(IdentitySchema, {
    ...{ id, provider, subject, emailVerified, name, username, pictureUrl },
    email: email ?? '',
    createTime: timestampFromDate(createdAt),
    ...(lastSignInAt && { lastSignInTime: timestampFromDate(lastSignInAt) }),
  });
}

/** What `shownIdentitiesOf` selects: the times are texts. */
export type IdentityJson = Omit<IdentityRow, 'projectId' | 'userId' | 'emailKey' | 'createdAt' | 'lastSignInAt'> & {
  readonly createdAt: string;
  readonly lastSignInAt: string | null;
};

export function jsonIdentityToMessage({ createdAt, lastSignInAt, ...rest }: IdentityJson): Identity {
  const lastSignIn = lastSignInAt === null ? null : new Date(lastSignInAt);
  return identityToMessage({ ...rest, createdAt: new Date(createdAt), lastSignInAt: lastSignIn });
}

/** Most users have none, and need no statement. */
function mayHold({ providers }: Holder): boolean {
  return providers.some((each) => each !== byEmail);
}

/** The identities of a user, the oldest first. */
export async function identitiesToMessage(on: Autocommit, user: Holder): Promise<Identity[]> {
  return mayHold(user) ? (await identitiesOf(on, user.id)).map(identityToMessage) : [];
}

/** The same for the users of a page, by their ids. */
export async function identitiesByUser(
  on: Autocommit,
  users: readonly Holder[],
): Promise<ReadonlyMap<string, Identity[]>> {
  const ids = users.filter(mayHold).map(({ id }) => id);
  const rows = ids.length > 0 ? await identitiesOfAll(on, ids) : [];
  const byUser = Map.groupBy(rows, ({ userId }) => userId);
  return new Map([...byUser].map(([userId, held]) => [userId, held.map(identityToMessage)]));
}
