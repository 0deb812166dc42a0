import type { HandlerContext } from '@connectrpc/connect';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { statement } from '../database/statement.ts';
import type { CallerReader } from './bearer-token.ts';
import { keptForCall } from './kept-for-call.ts';
import { admit, type Lookup, namedSessions, readTogether, type SessionState, stateColumns } from './session-lookup.ts';

/** What a method returns of its caller, read together with the caller. */
export interface OwnRead<Found> {
  /** Runs while a call is authenticated. Concurrent calls share one statement. */
  readonly callerReader: (shared: Autocommit, now: Clock) => CallerReader;
  /** What was read for this call. */
  readonly of: (context: HandlerContext) => SessionState & Found;
}

/**
 * One statement for a method that only reads what belongs to its caller. It does not run for API keys and backends. `columns` is
 * SQL that speaks of the session `s`, its user `u`, `named.user_id` and `:now`.
 */
export function ownRead<Found extends object>(name: string, columns: string): OwnRead<Found> {
  const read = statement<SessionState & Found, Lookup>(
    name,
    `select ${stateColumns}, ${columns} from ${namedSessions}`,
    {
      isSharedRead: true,
    },
  );
  const kept = keptForCall<SessionState & Found>(name);
  return {
    callerReader: (shared, now) => {
      const readOwn = readTogether(read, shared, now);
      return async (autocommit, claims, { contextValues }) => {
        const [row] = await readOwn(autocommit, { userId: claims.userId, ids: [claims.sessionId] });
        kept.keep(contextValues, row);
        return admit(row, claims);
      };
    },
    of: kept.of,
  };
}
