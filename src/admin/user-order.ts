import type { Autocommit } from '../database/autocommit.ts';
import { statement } from '../database/statement.ts';
import { isUnbannedAt, type UserRow, userColumns } from '../user/user.ts';

/** What users are listed by. Each order has an index. All but `address` also have one within a role. */
export type OrderName = 'address' | 'create_time' | 'name' | 'role';

export interface UserOrder {
  readonly name: OrderName;
  readonly isDescending: boolean;
}

export interface UserFilter {
  readonly role: string | undefined;
  readonly banned: boolean | undefined;
  /** The least value of the first column of the order, in both directions. */
  readonly from: string | undefined;
  /** All values of the first column of the order are less. */
  readonly until: string | undefined;
}

/** The values of the columns of an order, as text. */
export type Position = readonly string[];

export interface UserPage {
  readonly rows: readonly UserRow[];
  /** The position of the last user that the statement examined. Undefined at the end of the list. */
  readonly next: Position | undefined;
}

export interface PageOfUsers {
  readonly projectId: string;
  readonly after: Position | undefined;
  readonly limit: number;
  readonly now: Date;
}

/** A column of an order, and of its index. */
interface Column {
  readonly sql: string;
  readonly type: 'text' | 'timestamptz' | 'uuid';
  /** SQL: the value as the text of a position. */
  readonly shown?: string;
  /** SQL: a bound of the filter as a value of the column. */
  readonly bound?: (sql: string) => string;
}

// Text is compared by bytes, in the indexes too, and only the letters A to Z have lower case: the locale of a database
// changes with its libraries.
const created: Column = {
  sql: 'u.created_at',
  type: 'timestamptz',
  shown: `to_char(u.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
};
const id: Column = { sql: 'u.id', type: 'uuid' };
const columnsOf: Readonly<Record<OrderName, readonly Column[]>> = {
  address: [{ sql: 'u.email_key collate "C"', type: 'text' }, id],
  create_time: [created, id],
  name: [{ sql: 'lower(u.name collate "C")', type: 'text', bound: (sql) => `lower(${sql} collate "C")` }, id],
  role: [{ sql: 'u.system_role collate "C"', type: 'text' }, created, id],
};

const least = { text: '', timestamptz: '-infinity', uuid: '00000000-0000-0000-0000-000000000000' } as const;

/** Greater than every text that begins with the prefix: it ends with the largest character. */
export function afterPrefix(prefix: string): string {
  return `${prefix}\u{10ffff}`;
}

interface Values {
  readonly projectId: string;
  readonly role: string | null;
  readonly banned: boolean | null;
  readonly now: Date;
  readonly from: string;
  readonly until: string;
  /** The position of the last user of the page before. */
  readonly after: Position | null;
  readonly window: number;
  readonly limit: number;
}

type Found = UserRow & { fits: boolean; isLast: boolean; position: string[] };

interface Variant extends UserOrder {
  /** Whether the index begins with the role. */
  readonly isOfRole: boolean;
  /** Whether the index contains only users who have a ban, also an expired one. */
  readonly isOfBanned: boolean;
}

/**
 * Examines the next `window` users of an index, and returns those that the filter includes and the last one. The cost of
 * a page therefore does not depend on how many users the filter excludes.
 */
function listing({ name, isDescending, isOfRole, isOfBanned }: Variant) {
  const columns = columnsOf[name];
  const [head, ...rest] = columns as [Column, ...Column[]];
  const [past, direction] = isDescending ? ['<', 'desc'] : ['>', 'asc'];
  const bound = (parameter: string) => (head.bound ?? String)(`${parameter}::${head.type}`);
  const after = ({ type }: Column, n: number, otherwise: string) =>
    `coalesce((:after::text[])[${n}]::${type}, ${otherwise})`;
  const starts = [
    after(head, 1, bound(isDescending ? ':until' : ':from')),
    ...rest.map((each, n) => after(each, n + 2, `'${least[each.type]}'::${each.type}`)),
  ];
  const end = isDescending ? `${head.sql} >= ${bound(':from')}` : `${head.sql} < ${bound(':until')}`;
  const key = columns.map(({ sql }) => sql);
  return statement<Found, Values>(
    ['users_by', name, direction, ...(isOfRole ? ['of_role'] : []), ...(isOfBanned ? ['of_banned'] : [])].join('_'),
    `select ${userColumns}, seen.fits, seen.place = :window as "isLast", seen.position
   from (
     select walked.id, walked.fits, walked.position, row_number() over () as place from (
       select u.id, ${fits(isOfRole)} as fits,
         array[${columns.map(({ sql, shown }) => shown ?? `(${sql})::text`).join(', ')}] as position
       from users u
       where u.project_id = :projectId and u.deleted_at is null
         ${isOfRole ? 'and u.system_role collate "C" = :role' : ''} ${isOfBanned ? 'and u.banned_until is not null' : ''}
         and (${key.join(', ')}) ${past} (${starts.join(', ')}) and ${end}
       order by ${key.map((each) => `${each} ${direction}`).join(', ')} limit :window
     ) walked
   ) seen join users u on u.id = seen.id
   where seen.fits or seen.place = :window order by seen.place limit :limit`,
  );
}

function fits(isOfRole: boolean): string {
  const isBanned = `(:banned::boolean is null or :banned <> ${isUnbannedAt('u')})`;
  return isOfRole ? isBanned : `${isBanned} and (:role::text is null or u.system_role = :role)`;
}

const listings = new Map(
  (Object.keys(columnsOf) as OrderName[]).flatMap((name) =>
    [false, true].flatMap((isDescending) =>
      variantsOf(name).map((variant) => {
        const whole = { ...variant, name, isDescending };
        return [nameOf(whole), listing(whole)] as const;
      }),
    ),
  ),
);

/** The indexes of an order: of all users, of a role, of users who have a ban. */
function variantsOf(name: OrderName): Omit<Variant, keyof UserOrder>[] {
  const all = { isOfRole: false, isOfBanned: false };
  if (name === 'address') return [all];
  const ofRole = { isOfRole: true, isOfBanned: false };
  return name === 'create_time' ? [all, ofRole, { isOfRole: false, isOfBanned: true }] : [all, ofRole];
}

function nameOf({ name, isDescending, isOfRole, isOfBanned }: Variant): string {
  return [name, isDescending, isOfRole, isOfBanned].join(' ');
}

// With a filter that has no index, a page ends after so many users, even if it contains fewer than the request asks for.
const mostSeen = 1000;

/** One page of users who are not deleted. */
export async function findUsers(
  on: Autocommit,
  order: UserOrder,
  filter: UserFilter,
  { projectId, after, limit, now }: PageOfUsers,
): Promise<UserPage> {
  const { name } = order;
  const { role, banned } = filter;
  const isOfRole = role !== undefined && name !== 'address';
  const isOfBanned = banned === true && role === undefined && name === 'create_time';
  const isIndexed = banned === undefined && (role === undefined || isOfRole);
  const list = listings.get(nameOf({ ...order, isOfRole, isOfBanned }))!;
  const found = await list(on, {
    ...{ projectId, role: role ?? null, banned: banned ?? null, now, after: after ?? null },
    from: filter.from ?? least[name === 'create_time' ? 'timestamptz' : 'text'],
    until: filter.until ?? (name === 'create_time' ? 'infinity' : afterPrefix('')),
    window: isIndexed ? limit + 1 : mostSeen,
    limit: limit + 2,
  });
  const fitting = found.filter((each) => each.fits);
  const rows = fitting.slice(0, limit);
  const last = fitting.length > limit ? rows.at(-1) : found.find((each) => each.isLast);
  return { rows, next: last?.position };
}

const mostCounted = 100_000;

const count = statement<{ users: string }, { projectId: string }>(
  'users_count',
  `select count(*) as users from (
     select 1 from users u where u.project_id = :projectId and u.deleted_at is null limit ${mostCounted}) counted`,
);

/** The number of users who are not deleted, counted up to a bound. */
export async function countUsers(on: Autocommit, projectId: string): Promise<number> {
  const [row] = await count(on, { projectId });
  return Number(row!.users);
}
