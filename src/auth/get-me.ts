import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import { createContextKey, type ServiceImpl } from '@connectrpc/connect';
import type { AuthService, GetMeRequest } from '../../gen/gatehouse/v1/auth_pb.ts';
import type { UserSchema } from '../../gen/gatehouse/v1/user_pb.ts';
import { summaryToMessage } from '../account/message.ts';
import { type AccountSummary, accountSummaryOf } from '../account/usage/account-summary.ts';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { statement } from '../database/statement.ts';
import { Refusal } from '../errors.ts';
import { autocommit, caller } from '../rpc/context.ts';
import type { CallerReader } from '../session/bearer-token.ts';
import {
  admit,
  type Lookup,
  namedSessions,
  readTogether,
  type SessionState,
  stateColumns,
} from '../session/session-lookup.ts';
import { identitiesToMessage } from '../user/identity-message.ts';
import { ownUserToMessage } from '../user/message.ts';
import {
  type FurtherUser,
  furtherUserColumns,
  type ShownUser,
  shownUserColumns,
  withShownUser,
} from '../user/shown-user.ts';
import { mayActAt, type User } from '../user/user.ts';
import { type Belongings, belongingsOf, factorsToMessage, linkedIdentities } from './belongings.ts';
import type { AuthDeps } from './deps.ts';

type Methods = Pick<ServiceImpl<typeof AuthService>, 'getMe'>;

/** The metadata of a user, and their account. */
interface Further extends Pick<User, 'appMetadata' | 'userMetadata'> {
  readonly summary: AccountSummary | null;
}

/** A user and their account as one row. */
type ShownMe = Omit<ShownUser, 'id'> & Further;

/** The same with the session that calls. */
type Me = SessionState & FurtherUser & Pick<ShownUser, 'providers'> & Further & Partial<Belongings>;

const kMe = createContextKey<Me | undefined>(undefined, { description: 'the caller as GetMe shows them' });

const metadata = 'u.app_metadata as "appMetadata", u.user_metadata as "userMetadata"';
const userColumns = `${stateColumns}, ${furtherUserColumns}, u.providers, ${metadata}`;
const summary = (userId: string) => `${accountSummaryOf(userId)} as summary`;
const belongings = belongingsOf('named.user_id');

// Hot: every page that a browser opens begins with it.
const read = statement<Me, Lookup>(
  'session_states_me',
  `select ${userColumns}, ${summary('named.user_id')} from ${namedSessions}`,
  { isSharedRead: true },
);

const readWhole = statement<Me, Lookup>(
  'session_states_me_whole',
  `select ${userColumns}, ${summary('named.user_id')}, ${belongings} from ${namedSessions}`,
  { isSharedRead: true },
);

// Hot: GET /user and every sign-in through /auth/v1.
const readWithoutAccount = statement<Me, Lookup>(
  'session_states_me_without_account',
  `select ${userColumns}, null as summary, ${belongings} from ${namedSessions}`,
  { isSharedRead: true },
);

const readUser = statement<ShownMe, { userId: string; now: Date }>(
  'user_me',
  `select ${shownUserColumns}, ${metadata}, ${summary(':userId')} from users u
   where u.id = :userId and ${mayActAt('u')}`,
);

/**
 * Reads a caller of GetMe with a session together with everything that it returns: one statement instead of three. It runs while the
 * call is authenticated, and the method below finds the row in the context.
 */
export function getMeCaller(shared: Autocommit, now: Clock): CallerReader {
  const readMe = readTogether(read, shared, now);
  const readMeWhole = readTogether(readWhole, shared, now);
  const readMeWithoutAccount = readTogether(readWithoutAccount, shared, now);
  return async (autocommit, claims, { contextValues, message }) => {
    const { factors, identities, omitAccount } = message as GetMeRequest;
    const readerWithAccount = factors || identities ? readMeWhole : readMe;
    const reader = omitAccount ? readMeWithoutAccount : readerWithAccount;
    const [me] = await reader(autocommit, { userId: claims.userId, ids: [claims.sessionId] });
    contextValues.set(kMe, me);
    return admit(me, claims);
  };
}

export function getMe({ now, usage }: AuthDeps): Methods {
  return {
    async getMe({ appMetadata: isAsked, identities: asksIdentities, factors: asksFactors, omitAccount }, context) {
      const { userId: id, apiKey } = caller(context);
      const at = now();
      const row = context.values.get(kMe);
      const [byKey] = apiKey ? await readUser(autocommit(context), { userId: id, now: at }) : [];
      const me: (ShownMe & Partial<Belongings>) | undefined = byKey ?? (row && withShownUser(row));
      if (!me) throw new Refusal('USER_NOT_FOUND');
      // An API key shows no factors.
      const { factors = [], identities } = me;
      const user = ownUserToMessage({ ...me, id }, at);
      const account = omitAccount ? undefined : summaryToMessage(me.summary, usage, at);
      const shown: MessageInitShape<typeof UserSchema> = { ...user };
      if (isAsked) shown.appMetadata = me.appMetadata as JsonObject;
      if (asksIdentities)
        shown.identities = identities
          ? linkedIdentities({ identities })
          : await identitiesToMessage(autocommit(context), { ...me, id });
      return { user: shown, account, factors: asksFactors ? factorsToMessage({ factors }) : [] };
    },
  };
}
