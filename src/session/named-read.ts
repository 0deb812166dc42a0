import type { HandlerContext } from '@connectrpc/connect';
import type { Clock } from '../database/clock.ts';
import { statement } from '../database/statement.ts';
import type { CallerReader } from './bearer-token.ts';
import { keptForCall } from './kept-for-call.ts';
import { admit, type SessionState, stateColumns } from './session-lookup.ts';

interface Values {
  readonly userId: string;
  /** The caller's. */
  readonly sessionId: string;
  readonly now: Date;
}

/** What a method returns of something that its request names, read together with the caller. */
export interface NamedRead<Found> {
  /** Runs while a call is authenticated, before the request is validated. */
  readonly callerReader: (now: Clock) => CallerReader;
  /** What was read for this call, whose caller has an access token. */
  readonly of: (context: HandlerContext) => Found;
}

/**
 * One statement for a method that reads what its request names and its caller may see. `namedIn` returns the names in a
 * request that may be malformed. `columns` is SQL that speaks of the session `s`, its user `u`, the names, `:userId` and
 * `:now`, and whose cost cannot grow.
 */
export function namedRead<Found extends object, Named extends object>(
  name: string,
  namedIn: (message: unknown) => Named,
  columns: string,
): NamedRead<Found> {
  const read = statement<SessionState & Found, Values & Named>(
    name,
    `select ${stateColumns}, ${columns}
     from sessions s join users u on u.id = :userId where s.user_id = :userId and s.id = :sessionId`,
    { isSharedRead: true },
  );
  const kept = keptForCall<SessionState & Found>(name);
  return {
    callerReader:
      (now) =>
      async (autocommit, claims, { message, contextValues }) => {
        const { userId, sessionId } = claims;
        const [row] = await read(autocommit, { ...namedIn(message), userId, sessionId, now: now() });
        kept.keep(contextValues, row);
        return admit(row, claims);
      },
    of: kept.of,
  };
}
