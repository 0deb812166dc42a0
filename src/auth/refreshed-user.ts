import type { JsonObject } from '@bufbuild/protobuf';
import { statement } from '../database/statement.ts';
import { subjectColumns, type TokenSubject } from '../session/access-token.ts';
import type { RefreshedUser } from '../session/refresh.ts';
import {
  findSessionSql,
  type NotRotated,
  type PresentedToken,
  type RotationBounds,
  rotateManySql,
  rotateOneSql,
  type SessionOfToken,
  type TokenColumns,
} from '../session/refresh-statements.ts';
import { ownUserToMessage } from '../user/message.ts';
import { type FurtherUser, furtherUserColumns, withShownUser } from '../user/shown-user.ts';
import { type Belongings, belongingsOf, factorsToMessage, linkedIdentities } from './belongings.ts';

/** What the tokens are made of and, beside it, the rest of the user. */
type Row = TokenSubject & FurtherUser & Belongings;

const returned = (userId: string) => `${subjectColumns}, ${furtherUserColumns}, ${belongingsOf(userId)}`;

/** The user as GetMe returns them to a client that asks for everything but the account. */
export const refreshedUser: RefreshedUser<Row> = {
  // Hot: every refresh through /auth/v1.
  statements: {
    one: statement<Row, RotationBounds & PresentedToken>('session_rotate_with_user', rotateOneSql(returned(':userId'))),
    many: statement<Row, RotationBounds & TokenColumns>(
      'session_rotate_all_with_user',
      rotateManySql(returned('p.user_id')),
    ),
    find: statement<NotRotated<Row>, SessionOfToken>(
      'session_refreshed_with_user',
      findSessionSql(returned(':userId')),
    ),
  },
  toMessage(row, now) {
    const shown = { ...withShownUser(row), userMetadata: row.user_metadata };
    const appMetadata = row.app_metadata as JsonObject;
    const user = { ...ownUserToMessage(shown, now), appMetadata, identities: linkedIdentities(row) };
    return { user, factors: factorsToMessage(row) };
  },
};
