import { sessionToMessage } from '../session/message.ts';
import type { Opened, SessionOpener } from '../session/session-opener.ts';
import { userToMessage } from '../user/message.ts';
import type { User } from '../user/user.ts';

/** The fields that every response has that signs a user in. */
export function signedInToMessage(opener: SessionOpener, user: User, opened: Opened, now: Date) {
  return {
    user: userToMessage(user, now),
    tokens: opener.tokensOf(opened, user, now),
    session: sessionToMessage(opened.session, opened.session.id),
  };
}
