import { createContextKey, type HandlerContext } from '@connectrpc/connect';
import type { Autocommit } from '../database/autocommit.ts';
import type { Clock } from '../database/clock.ts';
import { statement } from '../database/statement.ts';
import type { CallerReader } from './bearer-token.ts';
import { admit, type Lookup, namedSessions, readTogether, type SessionState, stateColumns } from './session-lookup.ts';

/** What a method returns of its caller, read together with the caller. */
export interface OwnRead<Found> {
  /** Runs while a call is authenticated. Concurrent calls share one statement. */
  readonly callerReader: (shared: Autocommit, now: Clock) => CallerReader;
  /** What was read for this call. */
  readonly of: (context: HandlerContext) => SessionState & Found;
}

/**
 * One statement for a method that only reads what belongs to its caller. A caller with an API key and a backend read nothing
 * with it.
 * `columns` is SQL that speaks of the session `s`, its user `u`, `named.user_id` and `:now`.
 */
export function ownRead<Found extends object>(name: string, columns: string): OwnRead<Found> {
  const read = statement<SessionState & Found, Lookup>(
    name,
    `select ${stateColumns}, ${columns} from ${namedSessions}`,
    {
      isSharedRead: true,
    },
  );
  const key = createContextKey<(SessionState & Found) | undefined>(undefined, { description: name });
  return {
    callerReader: (shared, now) => {
      const readOwn = readTogether(read, shared, now);
      return async (autocommit, claims, { contextValues }) => {
        const [row] = await readOwn(autocommit, { userId: claims.userId, ids: [claims.sessionId] });
        contextValues.set(key, row);
        return admit(row, claims);
      };
    },
    of: ({ values }) => {
      const row = values.get(key);
      if (!row) throw new Error(`${name} was not read for this call`);
      return row;
    },
  };
}
