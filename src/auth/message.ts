import { sessionToMessage } from '../session/message.ts';
import type { Renewed } from '../session/secret-renewal.ts';
import type { Opened, SessionOpener } from '../session/session-opener.ts';
import { userToMessage } from '../user/message.ts';
import type { UserRow } from '../user/user.ts';

/** The fields that every response has that signs a user in. */
export function signedInToMessage(opener: SessionOpener, user: UserRow, opened: Opened, now: Date) {
  return {
    user: userToMessage(user, now),
    tokens: opener.tokensOf(opened, user, now),
    session: sessionToMessage(opened.session, opened.session.id),
  };
}

/** The new tokens of a renewed session, and the session. */
export function renewedToMessage(
  opener: SessionOpener,
  projectId: string,
  { subject, session, refreshToken }: Renewed,
  now: Date,
) {
  return {
    tokens: opener.tokensFor(subject, projectId, refreshToken, now),
    session: sessionToMessage(session, session.id),
  };
}
