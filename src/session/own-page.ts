import type { HandlerContext } from '@connectrpc/connect';
import type { Clock } from '../database/clock.ts';
import { statement } from '../database/statement.ts';
import { currentEpoch } from '../project/project.ts';
import type { ListRequest } from '../rpc/page-token.ts';
import { askedPage, type Page } from '../rpc/paging.ts';
import type { CallerReader } from './bearer-token.ts';
import { keptForCall } from './kept-for-call.ts';
import { admit, type SessionState, stateColumns } from './session-lookup.ts';

interface Values {
  readonly userId: string;
  /** The caller's. */
  readonly sessionId: string;
  readonly now: Date;
  /** The last item of the page before. */
  readonly after: string | null;
  readonly limit: number;
}

/** At least one row for a session that exists, without an item when the page is empty. Only the first has the caller. */
type Found<Item, Standing> = { [Column in keyof Item]: Item[Column] | null } & {
  readonly caller: (SessionState & Standing) | null;
};

/** A page of what the caller of a method may see, read together with the caller. */
export interface OwnPage<Item, Standing> {
  /** Runs while a call is authenticated, before the request is validated and the token of the page is checked. */
  readonly callerReader: (now: Clock) => CallerReader;
  /** What was read of the caller, whether or not they may see the items. */
  readonly standingOf: (context: HandlerContext) => Standing;
  /** The items that were read for this call. */
  readonly itemsOf: (context: HandlerContext, page: Page) => Item[];
}

interface List<Item> {
  /** What the items are sorted by. */
  readonly key: keyof Item & string;
  /** The columns of an item, of the table `shown`. */
  readonly columns: string;
  /** SQL that selects the items: of `:userId` or `:named`, below `:after` if it is not null, `:limit` at most. */
  readonly items: string;
}

/** What a list needs that is not the caller's own. */
interface NamedList {
  /** The id that the request names, as `:named`. Null for a malformed one. */
  readonly namedIn: (message: unknown) => string | null;
  /** SQL: columns of the table `caller`, of the session `s` and its user `u`, by which `items` and the method decide. */
  readonly standing: string;
}

/** One statement for a method that lists what its caller may see, newest first. */
export function ownPage<Item extends object, Standing extends object = object>(
  name: string,
  { key: sorted, columns, items }: List<Item>,
  named?: NamedList,
): OwnPage<Item, Standing> {
  const order = `order by shown."${sorted}" desc`;
  const standing = named ? `, ${named.standing}` : '';
  const read = statement<Found<Item, Standing>, Values & { named: string | null }>(
    name,
    `select case when row_number() over (${order}) = 1 then to_jsonb(caller) end as caller, ${columns}
     from (select ${stateColumns}, ${currentEpoch('s.project_id')} as epoch${standing}
       from sessions s join users u on u.id = :userId where s.user_id = :userId and s.id = :sessionId) caller
     left join lateral (${items}) shown on true
     ${order}`,
  );
  const kept = keptForCall<Page & { readonly rows: Found<Item, Standing>[] }>(name);
  return {
    callerReader:
      (now) =>
      async (autocommit, claims, { message, contextValues }) => {
        const { userId, sessionId } = claims;
        const { after, limit } = askedPage(message as ListRequest);
        const asked = { after: after ?? null, limit, named: named?.namedIn(message) ?? null };
        const rows = await read(autocommit, { userId, sessionId, now: now(), ...asked });
        kept.keep(contextValues, { after, limit, rows });
        return admit(rows[0]?.caller ?? undefined, claims);
      },
    // A call without a session has been refused.
    standingOf: (context) => kept.of(context).rows[0]!.caller!,
    itemsOf: (context, { after, limit }) => {
      const found = kept.of(context);
      if (found.after !== after || found.limit !== limit) throw new Error(`${name} was not read for this page`);
      return found.rows.filter((row) => row[sorted] !== null) as unknown as Item[];
    },
  };
}
