import { createContextKey, type ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { summaryToMessage } from '../account/message.ts';
import { type AccountSummary, accountSummaryOf } from '../account/usage/account-summary.ts';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { caller } from '../rpc/context.ts';
import type { CallerReader } from '../session/bearer-token.ts';
import {
  admit,
  type Lookup,
  namedSessions,
  readTogether,
  type SessionState,
  stateColumns,
} from '../session/session-lookup.ts';
import { ownUserToMessage } from '../user/message.ts';
import { type ShownUser, shownUserColumns, type User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'getMe'>;

/** A session, its user and their account as one row. */
type Me = SessionState &
  Omit<ShownUser, 'id'> &
  Pick<User, 'userMetadata'> & { readonly summary: AccountSummary | null };

const kMe = createContextKey<Me | undefined>(undefined, { description: 'the caller as GetMe shows them' });

// Hot: every page that a browser opens begins with it.
const read = statement<Me, Lookup>(
  'session_states_me',
  `select ${stateColumns}, ${shownUserColumns}, u.user_metadata as "userMetadata",
     ${accountSummaryOf('named.user_id')} as summary from ${namedSessions}`,
  { isSharedRead: true },
);

/**
 * Reads the caller of GetMe together with everything that it returns: one statement instead of three. It runs while the
 * call is authenticated, and the method below finds the row in the context.
 */
export function getMeCaller(shared: Autocommit, now: Clock): CallerReader {
  const readMe = readTogether(read, shared, now);
  return async (autocommit, claims, { contextValues }) => {
    const [me] = await readMe(autocommit, { userId: claims.userId, ids: [claims.sessionId] });
    contextValues.set(kMe, me);
    return admit(me, claims);
  };
}

export function getMe({ now, usage }: AuthDeps): Methods {
  return {
    getMe(_, context) {
      const { userId: id } = caller(context);
      const me = context.values.get(kMe);
      if (!me) throw new Refusal('USER_NOT_FOUND');
      const at = now();
      return { user: ownUserToMessage({ ...me, id }, at), account: summaryToMessage(me.summary, usage, at) };
    },
  };
}
