import { createContextKey, type HandlerContext } from '@connectrpc/connect';
import type { Clock } from '../database/clock.ts';
import { statement } from '../database/statement.ts';
import { currentEpoch } from '../project/project.ts';
import type { ListRequest } from '../rpc/page-token.ts';
import { askedPage, type Page } from '../rpc/paging.ts';
import type { CallerReader } from './bearer-token.ts';
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
type Found<Item> = { [Column in keyof Item]: Item[Column] | null } & { readonly caller: SessionState | null };

/** A page of what belongs to the caller of a method, read together with the caller. */
export interface OwnPage<Item> {
  /** Runs while a call is authenticated, before the token of the page is checked. */
  readonly callerReader: (now: Clock) => CallerReader;
  /** The items that were read for this call. */
  readonly itemsOf: (context: HandlerContext, page: Page) => Item[];
}

interface List<Item> {
  /** What the items are sorted by. */
  readonly key: keyof Item & string;
  /** The columns of an item, of the table `shown`. */
  readonly columns: string;
  /** SQL that selects the items: of `:userId`, below `:after` if it is not null, `:limit` at most. */
  readonly items: string;
}

/** One statement for a method that lists what belongs to its caller, newest first, and that only sessions may call. */
export function ownPage<Item extends object>(name: string, { key: sorted, columns, items }: List<Item>): OwnPage<Item> {
  const order = `order by shown."${sorted}" desc`;
  const read = statement<Found<Item>, Values>(
    name,
    `select case when row_number() over (${order}) = 1 then to_jsonb(caller) end as caller, ${columns}
     from (select ${stateColumns}, ${currentEpoch('s.project_id')} as epoch
       from sessions s join users u on u.id = :userId where s.user_id = :userId and s.id = :sessionId) caller
     left join lateral (${items}) shown on true
     ${order}`,
  );
  const key = createContextKey<(Page & { readonly rows: Found<Item>[] }) | undefined>(undefined, { description: name });
  return {
    callerReader:
      (now) =>
      async (autocommit, claims, { message, contextValues }) => {
        const { userId, sessionId } = claims;
        const { after, limit } = askedPage(message as ListRequest);
        const rows = await read(autocommit, { userId, sessionId, now: now(), after: after ?? null, limit });
        contextValues.set(key, { after, limit, rows });
        return admit(rows[0]?.caller ?? undefined, claims);
      },
    itemsOf: ({ values }, { after, limit }) => {
      const found = values.get(key);
      if (found?.after !== after || found?.limit !== limit) throw new Error(`${name} was not read for this page`);
      return found!.rows.filter((row) => row[sorted] !== null) as unknown as Item[];
    },
  };
}
