import type { HandlerContext } from '@connectrpc/connect';
import { readAccountSummary } from '../account/usage/account-summary.ts';
import { statement } from '../database/statement.ts';
import { autocommit, origin } from '../rpc/context.ts';
import { subjectColumns, type TokenSubject } from '../session/access-token.ts';
import { sessionToMessage } from '../session/message.ts';
import { hashSessionSecret } from '../session/refresh-token.ts';
import { endOf, type ShownSession, shownColumns } from '../session/session.ts';
import { userToMessage } from '../user/message.ts';
import { type ShownUser, shownUserColumns } from '../user/shown-user.ts';
import { deriveSecret, type Possession } from './codes.ts';
import type { DeviceDeps } from './deps.ts';
import { signedInToMessage } from './message.ts';
import { notifyOfDevice } from './new-device-mail.ts';
import type { Credential } from './redemption.ts';

const secretLength = 16;

type MintedSession = TokenSubject & ShownSession & Omit<ShownUser, 'id'>;

// Used means refreshed: the refresh token is then another one, and the program has stored it.
const findUnused = statement<MintedSession, { userId: string; id: string; secretHash: Buffer; now: Date }>(
  'session_minted',
  `select ${subjectColumns}, ${shownColumns}, ${shownUserColumns}
   from sessions s join users u on u.id = :userId
   where s.user_id = :userId and s.id = :id and s.secret_hash = :secretHash and s.generation = 0
     and (${endOf('s', 'u')}) is null`,
);

/**
 * A session of its own for the device, whose assurance level is that of one factor, whatever the level of the session that approved
 * it. It counts as authenticated when the approving one was: to approve proves nothing anew.
 */
export function sessionCredential(
  deps: Pick<DeviceDeps, 'now' | 'opener' | 'outbox' | 'messages'>,
  context: HandlerContext,
  possession: Possession,
  kind: 'cli' | 'device',
  fingerprintId?: string,
): Credential<ReturnType<typeof signedInToMessage>> {
  const { now, opener } = deps;
  const secretOf = (attemptId: string) => deriveSecret(possession, attemptId, 'session', secretLength);
  return {
    kind: 'session',
    async mint(em, user, id, attempt) {
      const identity = { id, secret: secretOf(attempt.id) };
      const authenticatedAt = new Date(attempt.approverAuthenticatedAt!);
      const opening = {
        ...{ user, kind, method: 'device', origin: origin(context), authenticatedAt, identity },
        clientName: attempt.clientName,
        ...(fingerprintId && { fingerprintId }),
      };
      const at = now();
      const opened = await opener.open(em, context, opening, at);
      await notifyOfDevice(em, context, deps, user, at);
      const { account } = await readAccountSummary(em, user.projectId, user.id);
      return signedInToMessage(opener, user, { ...opened, account }, at);
    },
    async repeat({ id: attemptId, projectId, userId, mintedId }) {
      const secret = secretOf(attemptId);
      const secretHash = hashSessionSecret(secret);
      const [row] = await findUnused(autocommit(context), { userId, id: mintedId, secretHash, now: now() });
      if (!row) return undefined;
      const refreshToken = { userId, sessionId: mintedId, generation: 0, secret };
      return {
        user: userToMessage({ ...row, id: userId }, now()),
        tokens: opener.tokensFor(row, projectId, refreshToken, now()),
        session: sessionToMessage(row, mintedId),
      };
    },
  };
}
